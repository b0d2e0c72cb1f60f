package commandline

import (
	"io"
	"os"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// Plain returns a writer that passes text on in which nothing steers a terminal: names and texts come from exporters,
// feeds and files, and an escape sequence in one could rewrite what stands on the screen, or put a command into the
// clipboard. Besides line ends and tabs only characters that can be printed pass; the others, and bytes that are not
// UTF-8, become question marks.
func Plain(out io.Writer) io.Writer { return &plain{out: out} }

// PlainTerminal is Plain for a file that is a terminal. Other files get all that is written.
func PlainTerminal(out *os.File) io.Writer {
	if _, err := unix.IoctlGetTermios(int(out.Fd()), unix.TCGETS); err != nil {
		return out
	}
	return Plain(out)
}

type plain struct {
	out  io.Writer
	rest []byte // the beginning of a character whose end has not come yet
	text []byte // buffer
}

func (p *plain) Write(text []byte) (int, error) {
	p.rest = append(p.rest, text...)
	all := p.rest
	p.text = p.text[:0]
	for len(all) > 0 && utf8.FullRune(all) {
		r, size := utf8.DecodeRune(all)
		switch {
		case r == utf8.RuneError && size == 1, r != '\n' && r != '\t' && !unicode.IsPrint(r):
			p.text = append(p.text, '?')
		default:
			p.text = append(p.text, all[:size]...)
		}
		all = all[size:]
	}
	p.rest = append(p.rest[:0], all...)
	if _, err := p.out.Write(p.text); err != nil {
		return 0, err
	}
	return len(text), nil
}
