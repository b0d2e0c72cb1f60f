package store

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// native builds a block of one column in the plain layout: numbers of columns and rows, name, type, values.
func native(kind string, rows uint64, values ...[]byte) []byte {
	b := binary.AppendUvarint([]byte{1}, rows)
	b = append(b, 1, 'c')
	b = binary.AppendUvarint(b, uint64(len(kind)))
	b = append(b, kind...)
	return append(b, bytes.Join(values, nil)...)
}

func u64(v ...uint64) []byte {
	var b []byte
	for _, n := range v {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return b
}

func TestReframe(t *testing.T) {
	info := []byte{1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0}
	for name, c := range map[string]struct {
		kind   string
		rows   uint64
		values []byte
	}{
		"fixed":       {"UInt32", 2, make([]byte, 8)},
		"no rows":     {"Array(String)", 0, nil},
		"text":        {"String", 2, []byte("\x02ab\x00")},
		"fixed text":  {"FixedString(3)", 2, []byte("abcdef")},
		"decimal":     {"Decimal(20, 4)", 1, make([]byte, 16)},
		"time zone":   {"DateTime64(3, 'Etc/UTC')", 1, make([]byte, 8)},
		"enumeration": {"Enum16('a)' = 1, 'b,\\'' = 2)", 2, make([]byte, 4)},
		"nullable":    {"Nullable(UInt16)", 2, make([]byte, 6)},
		"array":       {"Array(Array(UInt8))", 2, append(u64(1, 3, 1, 1, 4), 1, 2, 3, 4)},
		"map":         {"Map(String, UInt16)", 1, append(u64(1), "\x01k\x07\x00"...)},
		"named tuple": {"Tuple(a UInt8, `b c` Tuple(UInt16, String))", 1, []byte("\x01\x02\x00\x01x")},
		"aggregate":   {"SimpleAggregateFunction(sum, UInt64)", 1, make([]byte, 8)},
		"low cardinality": {"LowCardinality(Nullable(String))", 2,
			append(append(u64(1, 0x600, 2), "\x00\x01a"...), append(u64(2), 0, 1)...)},
		"variant":   {"Variant(String, UInt8)", 3, append(u64(0), "\x00\xff\x01\x01a\x09"...)},
		"point":     {"Ring", 1, append(u64(1), make([]byte, 16)...)},
		"JSON text": {"JSON", 1, append(u64(1), "\x02{}"...)},
		"JSON paths": {"JSON(b.x UInt16, a String, max_dynamic_paths=4, SKIP z)", 1,
			bytes.Join([][]byte{u64(0), []byte("\x01\x01\x01y"),
				u64(1), []byte("\x01\x01\x05Int64"), u64(0), []byte("\x01q\x05\x00"), []byte("\x00"), u64(7), u64(1),
				[]byte("\x01k\x01v")}, nil)},
	} {
		t.Run(name, func(t *testing.T) {
			head := native(c.kind, c.rows)
			src := append(bytes.Clone(head), c.values...)
			two := append(bytes.Clone(src), src...)
			for revision, flag := range map[int][]byte{54405: nil, 54454: {0}, 54483: {0}} {
				block := bytes.Join([][]byte{info, head, flag, c.values}, nil)
				got, err := reframe(nil, two, revision)
				if err != nil {
					t.Fatal(err)
				}
				if want := append(bytes.Clone(block), block...); !bytes.Equal(got, want) {
					t.Errorf("revision %d:\n got %q\nwant %q", revision, got, want)
				}
			}
			for n := len(src) - 1; n > 0 && c.rows > 0; n-- {
				if _, err := reframe(nil, src[:n], 54483); err == nil {
					t.Errorf("no error for the first %d of %d bytes", n, len(src))
				}
			}
		})
	}
}

func TestReframeUnknownType(t *testing.T) {
	for _, kind := range []string{"AggregateFunction(sum, UInt64)", "Array(", "FixedString(x)", "Quantum", "Nullable()",
		"Map(String)", "Decimal()"} {
		if _, err := reframe(nil, native(kind, 1, make([]byte, 100)), 54483); err == nil {
			t.Errorf("%s: no error", kind)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: more than one line: %v", kind, err)
		}
	}
}

func FuzzReframe(f *testing.F) {
	f.Add(native("LowCardinality(Nullable(String))", 2,
		append(append(u64(1, 0x600, 2), "\x00\x01a"...), append(u64(2), 0, 1)...)))
	f.Add(native("JSON(a String)", 1, make([]byte, 30)))
	f.Add(native("Array(Map(String, Tuple(a UInt8)))", 3, make([]byte, 60)))
	f.Fuzz(func(t *testing.T, src []byte) {
		out, err := reframe(nil, src, 54483)
		if err == nil && len(out) < len(src) {
			t.Errorf("%d bytes became %d", len(src), len(out))
		}
	})
}
