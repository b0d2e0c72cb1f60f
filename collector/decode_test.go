package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what the golden files in testdata should hold")

// golden compares with a file in testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestDecode_records(t *testing.T) {
	for _, name := range []string{"softflowd-v5", "softflowd-v9", "softflowd-ipfix", "nfprobe-v9", "sfprobe"} {
		t.Run(name, func(t *testing.T) {
			var records, notes bytes.Buffer
			if err := decodeFiles([]string{ownCapture(t, name)}, "json", false, false, &records, &notes); err != nil {
				t.Fatal(err)
			}
			lines := bytes.SplitAfter(records.Bytes(), []byte("\n"))
			golden(t, name+".jsonl", bytes.Join(lines[:min(8, len(lines))], nil))
			if notes.Len() > 0 {
				t.Errorf("said %q", notes.String())
			}
		})
	}
}

func TestDecode_table(t *testing.T) {
	var records, notes bytes.Buffer
	if err := decodeFiles([]string{ownCapture(t, "softflowd-v5")}, "table", false, false, &records,
		&notes); err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(records.String(), "\n")
	golden(t, "table.txt", []byte(strings.Join(lines[:10], "")))
}

func TestDecode_stats(t *testing.T) {
	var out, notes bytes.Buffer
	if err := decodeFiles([]string{ownCapture(t, "softflowd-sampled"), ownCapture(t, "nfprobe-ipfix")}, "json", true,
		false, &out, &notes); err != nil {
		t.Fatal(err)
	}
	golden(t, "stats.txt", out.Bytes())
}

func TestDecode_badInput(t *testing.T) {
	garbage := filepath.Join(t.TempDir(), "garbage.pcap")
	if err := os.WriteFile(garbage, []byte("no capture at all, but some text"), 0o644); err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut.pcap")
	whole, err := os.ReadFile(ownCapture(t, "softflowd-v5"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cut, whole[:len(whole)-100], 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, path, format, want string }{
		{"a file that is not there", "/nonexistent.pcap", "json",
			"open capture: open /nonexistent.pcap: no such file or directory"},
		{"a file that is no capture", garbage, "json", garbage},
		{"a capture that is cut", cut, "json", cut},
		{"a format that there is not", ownCapture(t, "softflowd-v5"), "xml", `"xml"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out, notes bytes.Buffer
			err := decodeFiles([]string{test.path}, test.format, false, false, &out, &notes)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, test.want)
			}
			if test.path == cut && bytes.Count(out.Bytes(), []byte("\n")) < 100 {
				t.Errorf("the records before the cut are missing: %d lines", bytes.Count(out.Bytes(), []byte("\n")))
			}
		})
	}
}
