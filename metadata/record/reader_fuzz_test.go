package record

import (
	"bytes"
	"testing"
)

// FuzzReader reads anything as a row of a server, with the columns that the metadata tables have. What is read takes no
// more memory than what came, whatever lengths it states.
func FuzzReader(f *testing.F) {
	table := &Table{Columns: []Column{{Name: "t", Kind: Text}, {Name: "n", Kind: NullText}, {Name: "l", Kind: Texts},
		{Name: "s", Kind: Subnets}}}
	f.Add(table.AppendRowBinary(nil, Row{"a", nil, []string{"x", ""}, []Subnet{{"192.0.2.0", 24}}}, "", Hash{}))
	f.Add([]byte("\x00\x01\xff\xff\xff\x0f"))
	f.Add([]byte("\xff\xff\xff\x1fabc"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = ReadRows(bytes.NewReader(data), func(r *Reader) {
			size := len(r.Text()) + len(r.NullText())
			texts := r.Texts()
			for _, text := range texts {
				size += len(text)
			}
			subnets := 0
			for range r.Elements() {
				if _, ok := r.Subnet(); !ok && r.Err() != nil {
					break
				}
				subnets++
			}
			if size+len(texts)+17*subnets > len(data) && r.Err() == nil || cap(texts) > 2*len(data)+64 ||
				cap(r.buf) > 4*len(data)+firstRead*2 {
				t.Errorf("%d bytes gave %d of text in %d texts, %d subnets, a buffer of %d", len(data), size,
					len(texts),
					subnets, cap(r.buf))
			}
		})
	})
}
