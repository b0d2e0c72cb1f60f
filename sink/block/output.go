package block

import (
	"encoding/binary"

	"github.com/metranova/flow-collector/sink/native"
)

// output is the destination of an encoded block.
type output struct {
	data   []byte
	fills  []native.Fill // for the packed form
	packed bool
}

// minFill is the shortest run that becomes a Fill, in bytes.
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

// appendEncoded appends a block of these columns to dst, or nothing if it has no rows.
func appendEncoded(dst []byte, columns []named, rows int) []byte {
	if rows == 0 {
		return dst
	}
	out := output{data: dst}
	encodeSize(&out, columns, rows)
	for _, c := range columns {
		c.encodeWhole(&out, rows)
	}
	return out.data
}

// encodeSize writes what stands before the columns of a block that has rows.
func encodeSize(out *output, columns []named, rows int) {
	out.data = binary.AppendUvarint(out.data, uint64(len(columns)))
	out.data = binary.AppendUvarint(out.data, uint64(rows))
}

// encodeWhole writes a column with its name and type.
func (c *named) encodeWhole(out *output, rows int) {
	out.data = appendString(out.data, c.name)
	out.data = appendString(out.data, c.typ)
	out.data = c.prefix(out.data)
	c.encode(out, rows)
}
