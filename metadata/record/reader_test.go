package record

import (
	"bytes"
	"io"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

// What AppendRowBinary writes of each kind, Reader reads.
func TestReader(t *testing.T) {
	columns := []Column{
		{Name: "text", Kind: Text}, {Name: "null_text", Kind: NullText}, {Name: "no_text", Kind: NullText},
		{Name: "u16", Kind: Uint16}, {Name: "u32", Kind: Uint32}, {Name: "bool", Kind: Bool},
		{Name: "texts", Kind: Texts}, {Name: "addresses", Kind: Addresses}, {Name: "subnets", Kind: Subnets},
	}
	table := &Table{Columns: columns}
	row := Row{"a", "b", nil, uint64(7), uint64(1 << 31), true, []string{"x", ""}, []string{"192.0.2.1", "2001:db8::1"},
		[]Subnet{{"192.0.2.0", 24}, {"2001:db8::", 32}, {"192.0.2.0", 120}, {"2001:db8::", 200}}}
	data := table.AppendRowBinary(nil, row, "", Hash{})
	read := func(r *Reader) []any {
		got := []any{r.Text(), r.NullText(), r.NullText(), r.Uint16(), r.Uint32(), r.Uint8() == 1, r.Texts()}
		var addresses []netip.Addr
		for range r.Elements() {
			addresses = append(addresses, r.Address())
		}
		var subnets []string
		for range r.Elements() {
			if p, ok := r.Subnet(); ok {
				subnets = append(subnets, p.String())
			}
		}
		return append(got, addresses, subnets)
	}
	want := []any{"a", "b", "", uint16(7), uint32(1 << 31), true, []string{"x", ""},
		[]netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")},
		[]string{"192.0.2.0/24", "2001:db8::/32", "192.0.2.0/24"}} // 200 bits are no subnet
	rows := 0
	err := ReadRows(bytes.NewReader(append(data, data...)), func(r *Reader) {
		if got := read(r); !reflect.DeepEqual(got, want) {
			t.Errorf("row %d: %v, want %v", rows, got, want)
		}
		rows++
	})
	if err != nil || rows != 2 {
		t.Errorf("%d rows, %v", rows, err)
	}
	for n := 1; n < len(data); n++ {
		err := ReadRows(bytes.NewReader(data[:n]), func(r *Reader) { read(r) })
		if err != io.ErrUnexpectedEOF {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
	}
}

// A length beyond all bounds is an error, and no memory is taken for it.
func TestReader_hostileLength(t *testing.T) {
	err := ReadRows(strings.NewReader("\xff\xff\xff\xff\x0f"), func(r *Reader) {
		if text := r.Text(); text != "" || r.Err() == nil {
			t.Errorf("%q, %v", text, r.Err())
		}
	})
	if err == nil || !strings.Contains(err.Error(), "a text of 4294967295 bytes") {
		t.Errorf("got %v", err)
	}
}

func TestProblem(t *testing.T) {
	for want, p := range map[string]Problem{
		"f.yml:3: r1: bad": {"f.yml:3", "r1", "bad"},
		"f.yml: bad":       {"f.yml", "", "bad"},
		"r1: bad":          {"", "r1", "bad"},
		"bad":              {"", "", "bad"},
	} {
		if got := p.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
