package logging

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"
)

func TestLogLevel(t *testing.T) {
	for name, want := range map[string]zapcore.Level{"debug": zapcore.DebugLevel, "warn": zapcore.WarnLevel,
		"nonsense": zapcore.InfoLevel} {
		if got := Level(name); got != want {
			t.Errorf("%s is %s", name, got)
		}
	}
}

func TestForms(t *testing.T) {
	line := func(f Form) string {
		var out bytes.Buffer
		To(zapcore.AddSync(&out), "info", f).Named("store").Warn("a thing", zap.Int("n", 3))
		return out.String()
	}
	var object map[string]any
	if err := json.Unmarshal([]byte(line(Form{JSON: true})), &object); err != nil || object["level"] != "warn" ||
		object["logger"] != "store" || object["msg"] != "a thing" || object["n"] != 3.0 || object["ts"] == nil {
		t.Errorf("%v: %v", object, err)
	}
	if text := line(Form{}); !strings.HasSuffix(text, " WARN store a thing {\"n\": 3}\n") || text[0] != '2' {
		t.Errorf("text: %q", text)
	}
	if text := line(Form{NoTime: true}); text != "WARN store a thing {\"n\": 3}\n" {
		t.Errorf("without time: %q", text)
	}
	if text := line(Form{Color: true}); !strings.Contains(text, "\x1b[33mWARN\x1b[0m") {
		t.Errorf("colored: %q", text)
	}
}

// A file is no terminal. It is the journal's where systemd says so.
func TestFormOf(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/log")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var stat unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, stream string
		want         Form
	}{
		{"text", "", Form{}},
		{"json", "", Form{JSON: true}},
		{"text", "1:2", Form{}},
		{"text", fmt.Sprintf("%d:%d", stat.Dev, stat.Ino), Form{NoTime: true}},
	} {
		got := FormOf(test.name, file, func(name string) string {
			if name == "JOURNAL_STREAM" {
				return test.stream
			}
			return ""
		})
		if got != test.want {
			t.Errorf("%s with the stream %q: %+v, want %+v", test.name, test.stream, got, test.want)
		}
	}
}

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	p := &Progress{out: &out}
	now := time.Unix(0, 0)
	if !p.Due(now) || p.Due(now.Add(progressEvery-1)) || !p.Due(now.Add(progressEvery)) {
		t.Error("it is due at other times")
	}
	p.Show("10 %")
	p.Done()
	p.Done()
	if got := out.String(); got != "\r10 %\x1b[K\r\x1b[K" {
		t.Errorf("wrote %q", got)
	}
	file, err := os.Create(t.TempDir() + "/log")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	none := NewProgress(file)
	if none.Due(now) {
		t.Error("a file is told of progress")
	}
	none.Show("x")
	none.Done()
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		3709211565: "3.71s", 111243170: "111ms", 1500: "1.5µs", 90*time.Second + 123*time.Millisecond: "1m30.1s",
		30 * time.Second: "30s", 0: "0s", 26*time.Hour + time.Minute: "26h1m0s", -1234567890: "-1.23s", 250: "250ns",
	} {
		if got := short(d).String(); got != want {
			t.Errorf("%d is %s, want %s", d, got, want)
		}
	}
}
