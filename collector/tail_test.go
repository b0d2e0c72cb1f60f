package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestTailLine(t *testing.T) {
	var out bytes.Buffer
	tail := tailing{out: &out, most: 2}
	line := []byte(
		`{"start_time":1767225600123,"device_id":"core1\u001b","protocol":"tcp","src_ip":"::ffff:192.0.2.7",` +
			`"src_port":5,` +
			`"dst_ip":"2001:db8::1","dst_port":443,"src_as_id":1,"dst_as_id":2,"in_interface_id":null,` +
			`"out_interface_id":"core1::a",` +
			`"bit_count":80,"packet_count":1}`)
	if err := tail.record(line); err != nil {
		t.Fatal(err)
	}
	if err := tail.record(line); !errors.Is(err, errEnough) {
		t.Errorf("after two records: %v", err)
	}
	lines := strings.Split(out.String(), "\n")
	if len(lines) != 4 || strings.Join(strings.Fields(lines[1]), " ") !=
		"2026-01-01 00:00:00.123 core1? tcp 192.0.2.7:5 AS1 [2001:db8::1]:443 AS2 10 1 ? → core1::a" {
		t.Errorf("printed\n%s", &out)
	}
}
