package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/sink/golden"
)

func TestDecode_records(t *testing.T) {
	for _, name := range []string{"softflowd-v5", "softflowd-v9", "softflowd-ipfix", "nfprobe-v9", "sfprobe"} {
		t.Run(name, func(t *testing.T) {
			var records, notes bytes.Buffer
			if err := decodeFiles([]string{testkit.OwnCapture(t, name)}, "json", false, false, &records,
				&notes); err != nil {
				t.Fatal(err)
			}
			lines := bytes.SplitAfter(records.Bytes(), []byte("\n"))
			golden.File(t, name+".jsonl", bytes.Join(lines[:min(8, len(lines))], nil))
			if n := strings.Count(notes.String(), "\n"); n != 1 {
				t.Errorf("said %q", notes.String())
			}
		})
	}
}

// decode says what it saw, above all where there is no record to print.
func TestDecode_saysWhatItSaw(t *testing.T) {
	header := func(version uint16, more ...byte) []byte {
		return append([]byte{byte(version >> 8), byte(version)}, more...)
	}
	template := header(10, 0, 28, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 2, 0, 12, 1, 44, 0, 1, 0, 8, 0, 4)
	waits := header(10, 0, 20, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 44, 0, 4)
	for _, c := range []struct {
		name     string
		packets  [][]byte
		protocol layers.IPProtocol
		want     string
	}{
		{"empty", nil, layers.IPProtocolUDP,
			"0 flow records in 0 datagrams of 0 exporters\nno UDP datagram is in it\n"},
		{"no UDP", [][]byte{template}, layers.IPProtocolTCP,
			"0 flow records in 0 datagrams of 0 exporters\nno UDP datagram is in it\nnot UDP in the capture: 1 " +
				"packet\n"},
		{"a template only", [][]byte{template}, layers.IPProtocolUDP,
			"0 flow records in 1 datagram of 1 exporter, 1 template\nno flow record could be read: "},
		{"data without its template", [][]byte{waits}, layers.IPProtocolUDP,
			"0 flow records in 1 datagram of 1 exporter\nno flow record could be read: "},
		{"another protocol", [][]byte{[]byte("GET / HTTP/1.1 and so on, long enough")}, layers.IPProtocolUDP,
			"0 flow records in 0 datagrams of 0 exporters\nnothing in it is sFlow v5, NetFlow v5, NetFlow v9 or " +
				"IPFIX\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "some.pcap")
			writeCapture(t, path, c.protocol, c.packets)
			var records, notes bytes.Buffer
			if err := decodeFiles([]string{path}, "json", false, false, &records, &notes); err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(notes.String(), c.want) {
				t.Errorf("said\n%swant\n%s", notes.String(), c.want)
			}
		})
	}
}

// writeCapture writes packets with these payloads from 192.0.2.1.
func writeCapture(t *testing.T, path string, protocol layers.IPProtocol, payloads [][]byte) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := pcapgo.NewWriter(file)
	if err := w.WriteFileHeader(1<<16, layers.LinkTypeRaw); err != nil {
		t.Fatal(err)
	}
	for _, payload := range payloads {
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: protocol,
			SrcIP: net.IPv4(192, 0, 2, 1), DstIP: net.IPv4(192, 0, 2, 2)}
		var transport gopacket.SerializableLayer = &layers.UDP{SrcPort: 1000, DstPort: 4739}
		if protocol == layers.IPProtocolTCP {
			transport = &layers.TCP{SrcPort: 1000, DstPort: 4739}
		}
		b := gopacket.NewSerializeBuffer()
		if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true}, ip, transport,
			gopacket.Payload(payload)); err != nil {
			t.Fatal(err)
		}
		info := gopacket.CaptureInfo{Timestamp: time.Unix(1e9, 0), CaptureLength: len(b.Bytes()),
			Length: len(b.Bytes())}
		if err := w.WritePacket(info, b.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDecode_table(t *testing.T) {
	var records, notes bytes.Buffer
	if err := decodeFiles([]string{testkit.OwnCapture(t, "softflowd-v5")}, "table", false, false, &records,
		&notes); err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(records.String(), "\n")
	golden.File(t, "table.txt", []byte(strings.Join(lines[:10], "")))
}

func TestDecode_stats(t *testing.T) {
	var out, notes bytes.Buffer
	captures := []string{testkit.OwnCapture(t, "softflowd-sampled"), testkit.OwnCapture(t, "nfprobe-ipfix")}
	if err := decodeFiles(captures, "json", true,
		false, &out, &notes); err != nil {
		t.Fatal(err)
	}
	golden.File(t, "stats.txt", out.Bytes())
}

func TestDecode_badInput(t *testing.T) {
	garbage := filepath.Join(t.TempDir(), "garbage.pcap")
	if err := os.WriteFile(garbage, []byte("no capture at all, but some text"), 0o644); err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut.pcap")
	whole, err := os.ReadFile(testkit.OwnCapture(t, "softflowd-v5"))
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
		{"a format that there is not", testkit.OwnCapture(t, "softflowd-v5"), "xml", `"xml"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out, notes bytes.Buffer
			err := decodeFiles([]string{test.path}, test.format, false, false, &out, &notes)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, test.want)
			}
			if said := notes.String(); (said != "") != (test.path == cut) {
				t.Errorf("said %q, though nothing was read but what the error says", said)
			}
			if test.path == cut && bytes.Count(out.Bytes(), []byte("\n")) < 100 {
				t.Errorf("the records before the cut are missing: %d lines", bytes.Count(out.Bytes(), []byte("\n")))
			}
		})
	}
}
