package block

import (
	"encoding/binary"

	"github.com/metranova/flow-collector/sink/native"
)

// output is what a block is encoded to.
type output struct {
	data   []byte
	fills  []native.Fill // where it is packed
	packed bool
}

// minFill is how long a run is that is worth a fill, in bytes.
const minFill = 256

func (o *output) write(b []byte) { o.data = append(o.data, b...) }

// repeat writes v n times.
func (o *output) repeat(n int, v byte) {
	if o.packed && n >= minFill {
		o.fills = append(o.fills, native.Fill{At: len(o.data), N: n, Byte: v})
		return
	}
	o.data = native.Repeat(o.data, n, v)
}

// appendEncoded appends a block of those columns to dst: nothing if it has no rows.
func appendEncoded(dst []byte, columns []named, rows int) []byte {
	out := output{data: dst}
	encode(&out, columns, rows)
	return out.data
}

// encode writes a block of those columns: nothing if it has no rows.
func encode(out *output, columns []named, rows int) {
	if rows == 0 {
		return
	}
	out.data = binary.AppendUvarint(out.data, uint64(len(columns)))
	out.data = binary.AppendUvarint(out.data, uint64(rows))
	for _, c := range columns {
		out.data = appendString(out.data, c.name)
		out.data = appendString(out.data, c.typ)
		out.data = c.prefix(out.data)
		c.encode(out, rows)
	}
}
