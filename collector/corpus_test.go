package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/sink/golden"
)

// corpusExceptions are the cases whose right answer is not what the corpus expects.
var corpusExceptions = map[string]string{
	// The expectation is of decoders that drop data whose template has not come yet. Here it waits, so that all six
	// records are decoded and not the three behind the template alone.
	"logstash-ipfix-netscaler-late-template": "expected 3 (0 optional), output 6, matched 3, differing 0, missing 0, " +
		"unexpected 3",
}

// Captures of many vendors, decoded as `collector decode` does, have the values that other decoders agree on.
func TestCorpus(t *testing.T) {
	corpus := golden.Reference(t, "corpus")
	cases, err := filepath.Glob(filepath.Join(corpus, "*", "expected.jsonl"))
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases in %s: %v", corpus, err)
	}
	for _, expected := range cases {
		dir := filepath.Dir(expected)
		name := filepath.Base(dir)
		t.Run(name, func(t *testing.T) {
			var records, notes bytes.Buffer
			if err := decodeFiles([]string{filepath.Join(dir, "capture.pcap")}, "json", false, false, &records,
				&notes); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "records.jsonl")
			if err := os.WriteFile(file, records.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			args := []string{filepath.Join(corpus, "check.py")}
			if strings.HasPrefix(name, "bmp-") || strings.HasPrefix(name, "bgp-") {
				// pmacct has the addresses around a tunneled packet in fields of their own. The flow is the packet's
				// here.
				args = append(args, "--ignore", "tunnel_src_ip,tunnel_dst_ip")
			}
			report, err := exec.Command("python3", append(args, dir, file)...).CombinedOutput()
			if want := corpusExceptions[name]; want != "" {
				if !strings.Contains(string(report), want) {
					t.Errorf("an exception that is none any more, want %q:\n%s", want, report)
				}
				return
			}
			if err != nil {
				t.Errorf("%v\n%s", err, report)
			}
		})
	}
}
