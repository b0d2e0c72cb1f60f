package commandline

import (
	"os"
	"strings"
	"testing"
)

func TestPlain(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"a table":                   {"┌─x─┐\n│ ü\t1 │\n", "┌─x─┐\n│ ü\t1 │\n"},
		"the title of a window":     {"a\x1b]0;pwned\x07b", "a?]0;pwned?b"},
		"a color":                   {"\x1b[31mred", "?[31mred"},
		"a control of 8 bits":       {"\u009b31mred", "?31mred"},
		"the same as a byte":        {"\x9b31mred", "?31mred"},
		"the line is overwritten":   {"bad\rgood", "bad?good"},
		"a backspace":               {"bad\b\b\bgood", "bad???good"},
		"the other direction":       {"a\u202eb", "a?b"},
		"no UTF-8":                  {"a\xffb", "a?b"},
		"an end within a character": {"a\xe2\x94", "a"},
	} {
		for _, size := range []int{1, 2, 1000} { // of a write
			var b strings.Builder
			out := Plain(&b)
			for text := c.text; text != ""; {
				n := min(size, len(text))
				if got, err := out.Write([]byte(text[:n])); got != n || err != nil {
					t.Fatalf("%s: wrote %d of %d, %v", name, got, n, err)
				}
				text = text[n:]
			}
			if b.String() != c.want {
				t.Errorf("%s, %d bytes at once: %q, want %q", name, size, b.String(), c.want)
			}
		}
	}
}

// What is no terminal gets all.
func TestPlainTerminal(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if PlainTerminal(f) != f {
		t.Error("a file is taken for a terminal")
	}
}
