package geo

import (
	"encoding/binary"
	"maps"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// database is a MaxMind DB as its format's specification has it, with 24-bit records in a tree for IPv6, IPv4 below
// ::/96.
type database struct {
	nodes [][2]uint32 // emptySlot, a node's index, or dataFlag and an offset
	data  []byte
}

const (
	emptySlot = 0xffffffff
	dataFlag  = 1 << 31
)

func (d *database) insert(prefix string, value any) {
	p := netip.MustParsePrefix(prefix)
	address, bits := p.Addr().As16(), p.Bits()
	if p.Addr().Is4() {
		clear(address[:12])
		bits += 96
	}
	if len(d.nodes) == 0 {
		d.nodes = append(d.nodes, [2]uint32{emptySlot, emptySlot})
	}
	node := uint32(0)
	for i := range bits {
		side := address[i/8] >> (7 - i%8) & 1
		switch next := d.nodes[node][side]; {
		case i == bits-1:
			d.nodes[node][side] = dataFlag | uint32(len(d.data))
		case next == emptySlot:
			d.nodes = append(d.nodes, [2]uint32{emptySlot, emptySlot})
			d.nodes[node][side] = uint32(len(d.nodes) - 1)
			node = d.nodes[node][side]
		default:
			node = next
		}
	}
	d.data = appendField(d.data, value)
}

func (d *database) write(t testing.TB, name string) string {
	t.Helper()
	var b []byte
	count := uint32(len(d.nodes))
	for _, n := range d.nodes {
		for _, v := range n {
			switch {
			case v == emptySlot:
				v = count
			case v&dataFlag != 0:
				v = v&^dataFlag + count + 16
			}
			b = append(b, byte(v>>16), byte(v>>8), byte(v))
		}
	}
	b = append(append(b, make([]byte, 16)...), d.data...)
	b = append(b, "\xab\xcd\xefMaxMind.com"...)
	b = appendField(b, map[string]any{
		"node_count": count, "record_size": uint16(24), "ip_version": uint16(6), "database_type": "Test",
		"build_epoch":                 uint64(1),
		"binary_format_major_version": uint16(2), "binary_format_minor_version": uint16(0), "languages": []any{"en"},
		"description": map[string]any{"en": "test"},
	})
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// appendField appends a value in the format of the data section.
func appendField(b []byte, v any) []byte {
	control := func(kind, size int) {
		switch {
		case kind > 7:
			b = append(b, byte(size), byte(kind-7))
		case size >= 285: // with the rest in two bytes
			b = append(b, byte(kind<<5|30), byte((size-285)>>8), byte(size-285))
		case size >= 29:
			b = append(b, byte(kind<<5|29), byte(size-29))
		default:
			b = append(b, byte(kind<<5|size))
		}
	}
	switch v := v.(type) {
	case string:
		control(2, len(v))
		return append(b, v...)
	case float64:
		control(3, 8)
		return binary.BigEndian.AppendUint64(b, math.Float64bits(v))
	case uint16:
		control(5, 2)
		return binary.BigEndian.AppendUint16(b, v)
	case uint32:
		control(6, 4)
		return binary.BigEndian.AppendUint32(b, v)
	case uint64:
		control(9, 8)
		return binary.BigEndian.AppendUint64(b, v)
	case []any:
		control(11, len(v))
		for _, e := range v {
			b = appendField(b, e)
		}
		return b
	case map[string]any:
		control(7, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			b = appendField(appendField(b, k), v[k])
		}
		return b
	}
	panic("no such field")
}

func english(name string) map[string]any {
	return map[string]any{"names": map[string]any{"de": "nicht " + name, "en": name}}
}
