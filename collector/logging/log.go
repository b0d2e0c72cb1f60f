// Package logging writes log lines for people or programs, and never makes whoever writes a line wait for its reader.
package logging

import (
	"io"
	"os"
	"strconv"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"
)

// Level returns the level with a name from the configuration.
func Level(name string) zapcore.Level {
	level, err := zapcore.ParseLevel(name)
	if err != nil {
		return zapcore.InfoLevel
	}
	return level
}

// A Form is how lines look. The zero Form is text with the time and without color.
type Form struct {
	JSON   bool // a JSON object on each line: ts, level, logger, msg and the fields
	Color  bool // levels in color; not with JSON
	NoTime bool // whoever reads the lines adds the time; not with JSON
}

// FormOf is the form of a name that the configuration takes (text or json), for lines that go to a file of this
// process. Text on a terminal has colored levels unless NO_COLOR is set (no-color.org). Journald adds the time itself.
func FormOf(name string, out *os.File, getenv func(string) string) Form {
	if name == "json" {
		return Form{JSON: true}
	}
	_, err := unix.IoctlGetTermios(int(out.Fd()), unix.TCGETS)
	return Form{
		Color:  err == nil && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb",
		NoTime: getenv("JOURNAL_STREAM") != "" && isJournal(out, getenv("JOURNAL_STREAM")),
	}
}

// isJournal reports whether a file is the stream that systemd says goes to the journal: JOURNAL_STREAM has its device
// and inode (systemd.exec(5)).
func isJournal(out *os.File, stream string) bool {
	var stat unix.Stat_t
	if unix.Fstat(int(out.Fd()), &stat) != nil {
		return false
	}
	return stream == strconv.FormatUint(stat.Dev, 10)+":"+strconv.FormatUint(stat.Ino, 10)
}

// Stderr writes lines for people to stderr.
func Stderr(level string) *zap.Logger { return To(zapcore.Lock(os.Stderr), level, Form{}) }

// To writes lines of that form. out must be safe for concurrent use.
func To(out zapcore.WriteSyncer, level string, form Form) *zap.Logger {
	return zap.New(zapcore.NewCore(form.encoder(), out, Level(level)))
}

// ForStore writes the lines of the store's process. They have no time; the collector adds it.
func ForStore() *zap.Logger {
	return zap.New(zapcore.NewCore(Form{NoTime: true}.encoder(), zapcore.Lock(os.Stderr), zapcore.InfoLevel))
}

func (f Form) encoder() zapcore.Encoder {
	encoder := zap.NewProductionEncoderConfig()
	encoder.EncodeTime = zapcore.ISO8601TimeEncoder
	encoder.EncodeLevel = zapcore.CapitalLevelEncoder
	encoder.EncodeDuration = func(d time.Duration, e zapcore.PrimitiveArrayEncoder) {
		e.AppendString(short(d).String())
	}
	if f.JSON {
		encoder.EncodeLevel = zapcore.LowercaseLevelEncoder
		return zapcore.NewJSONEncoder(encoder)
	}
	if f.NoTime {
		encoder.TimeKey = ""
	}
	if f.Color {
		encoder.EncodeLevel = zapcore.CapitalColorLevelEncoder
	}
	encoder.ConsoleSeparator = " "
	return zapcore.NewConsoleEncoder(encoder)
}

// Progress says on a terminal how far something long is. Elsewhere it says nothing: a log has other readers. The zero
// Progress says nothing. It belongs to one goroutine.
type Progress struct {
	out   io.Writer
	next  time.Time
	shown bool
}

// progressEvery is how often the line is written again.
const progressEvery = 250 * time.Millisecond

// NewProgress writes to a file if it is a terminal.
func NewProgress(out *os.File) *Progress {
	if _, err := unix.IoctlGetTermios(int(out.Fd()), unix.TCGETS); err != nil {
		return &Progress{}
	}
	return &Progress{out: out}
}

// Due reports whether it is time to say something.
func (p *Progress) Due(now time.Time) bool {
	if p.out == nil || now.Before(p.next) {
		return false
	}
	p.next = now.Add(progressEvery)
	return true
}

// Show replaces the line.
func (p *Progress) Show(line string) {
	if p.out != nil {
		_, _ = io.WriteString(p.out, "\r"+line+"\x1b[K")
		p.shown = true
	}
}

// Done removes the line.
func (p *Progress) Done() {
	if p.shown {
		_, _ = io.WriteString(p.out, "\r\x1b[K")
		p.shown = false
	}
}

// short rounds a duration to three or four digits, as nobody reads more in a log.
func short(d time.Duration) time.Duration {
	for unit := time.Duration(1); unit < time.Second; unit *= 10 {
		if d.Abs() < 1000*unit {
			return d.Round(unit)
		}
	}
	return d.Round(time.Second)
}
