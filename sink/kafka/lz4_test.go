package kafka

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
)

// likeMessages is text as flows' messages are: the same keys, other numbers.
func likeMessages(bytes int) (text []byte) {
	random := rand.New(rand.NewPCG(1, 2))
	for len(text) < bytes {
		text = fmt.Appendf(text,
			`{"peer_ip_src": "192.0.2.1", "ip_src": "10.%d.%d.%d", "ip_dst": "198.51.100.%d", "port_src": %d, `+
				`"port_dst": 443, "ip_proto": "tcp", "packets": %d, "bytes": %d}`,
			random.IntN(256), random.IntN(256), random.IntN(256), random.IntN(256), random.IntN(65536),
			random.IntN(100), random.IntN(1e6))
	}
	return text[:bytes]
}

func noise(bytes int) []byte {
	data, random := make([]byte, bytes), rand.New(rand.NewPCG(3, 4))
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	return data
}

func TestLZ4Compressor(t *testing.T) {
	c := newLZ4Compressor()
	for _, test := range []struct {
		name string
		data []byte
	}{
		{"one message", likeMessages(200)}, {"many messages", likeMessages(100_000)},
		{"several blocks", likeMessages(1_000_000)},
		{"a block to the byte", likeMessages(256 << 10)}, {"nothing to save", noise(600_000)},
	} {
		t.Run(test.name, func(t *testing.T) {
			var memory bytes.Buffer
			frame, codec := c.Compress(&memory, test.data)
			if codec != kgo.CodecLz4 {
				t.Fatalf("codec %d", codec)
			}
			got, err := io.ReadAll(lz4.NewReader(bytes.NewReader(frame)))
			if err != nil || !bytes.Equal(got, test.data) {
				t.Errorf("%d bytes come back as %d: %v", len(test.data), len(got), err)
			}
			// LZ4 Frame Format 1.6.4, "FLG byte": version 01, blocks that stand alone, without which Kafka's Java
			// client refuses them.
			if want := byte(0b0110_0000); frame[4] != want {
				t.Errorf("flags %08b, want %08b", frame[4], want)
			}
		})
	}
}

func BenchmarkLZ4Compressor(b *testing.B) {
	theirs, err := kgo.DefaultCompressor(kgo.Lz4Compression())
	if err != nil {
		b.Fatal(err)
	}
	data := likeMessages(340_000) // of 1 MiB for three partitions
	for _, test := range []struct {
		name string
		c    kgo.Compressor
	}{{"ours", newLZ4Compressor()}, {"franz-go", theirs}} {
		b.Run(test.name, func(b *testing.B) {
			var memory bytes.Buffer
			var frame []byte
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				memory.Reset()
				frame, _ = test.c.Compress(&memory, data)
			}
			b.ReportMetric(100*float64(len(frame))/float64(len(data)), "%size")
		})
	}
}
