package capture

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// A capture file may come from anywhere: whatever it holds, reading it ends, and no datagram has more bytes than UDP
// can carry.
func FuzzReader(f *testing.F) {
	for _, name := range []string{"softflowd-v5", "sfprobe", "softflowd-ipfix"} {
		data, err := os.ReadFile(filepath.Join("..", "..", "bench", "testdata", name+".pcap"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data[:min(len(data), 4096)])
	}
	f.Add([]byte("\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00\x01\x00\x00\x00" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff")) // a packet of 4 GB
	// pcapng
	f.Add([]byte(
		"\x0a\x0d\x0d\x0a\x1c\x00\x00\x00\x4d\x3c\x2b\x1a\x01\x00\x00\x00" +
			"\xff\xff\xff\xff\xff\xff\xff\xff\x1c\x00\x00\x00"))
	path := filepath.Join(f.TempDir(), "fuzz.pcap")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Open(path)
		if err != nil {
			return
		}
		defer r.Close()
		const header = 16 // of a packet: there cannot be more packets than these fit
		for n := 0; ; n++ {
			dg, err := r.Next()
			if err != nil {
				if !errors.Is(err, io.EOF) && err.Error() == "" {
					t.Error("an error without a text")
				}
				return
			}
			if len(dg.Payload) > 65535 || !dg.Source.IsValid() {
				t.Fatalf("a datagram of %d bytes from %v", len(dg.Payload), dg.Source)
			}
			if n > len(data)/header {
				t.Fatalf("more than %d datagrams of %d bytes", n, len(data))
			}
		}
	})
}
