package native

import (
	"io"
	"testing"
	"testing/iotest"
)

func TestFills(t *testing.T) {
	for _, c := range []struct {
		name  string
		data  string
		fills []Fill
		want  string
	}{
		{"nothing", "", nil, ""},
		{"no fills", "abc", nil, "abc"},
		{"nothing but a fill", "", []Fill{{0, 3, 'x'}}, "xxx"},
		{"at the beginning, in the middle and at the end", "abc", []Fill{{0, 2, 'x'}, {2, 1, 0}, {3, 4, 'y'}},
			"xxab\x00cyyyy"},
		{"side by side", "ab", []Fill{{1, 2, 1}, {1, 3, 0}}, "a\x01\x01\x00\x00\x00b"},
		{"an empty one", "ab", []Fill{{1, 0, 'x'}}, "ab"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := Packed{[]byte(c.data), c.fills}
			if got := p.Size(); got != len(c.want) {
				t.Errorf("size %d, want %d", got, len(c.want))
			}
			if got := p.Expand([]byte("before")); string(got) != "before"+c.want {
				t.Errorf("expanded to %q, want %q", got, "before"+c.want)
			}
			s := NewSource(p)
			if err := iotest.TestReader(&s, []byte(c.want)); err != nil {
				t.Error(err)
			}
			again := NewSource(p)
			if got, err := io.ReadAll(iotest.OneByteReader(&again)); err != nil || string(got) != c.want {
				t.Errorf("a byte at a time: %q, %v", got, err)
			}
		})
	}
}
