package kafka

import (
	"bytes"
	"sync"

	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
)

// lz4Compressor compresses a partition's record batch as an LZ4 frame. Compression is the largest part of the
// producer's work. franz-go's own compressor takes 1.5 times as long for JSON and twice as long for protobuf: it
// searches for matches in a table larger than a core's first-level cache, which makes messages 5 to 13 % smaller, and
// it computes a content checksum, although the record batch already has one. Kafka's Java client omits that checksum
// too.
type lz4Compressor struct{ writers sync.Pool }

func newLZ4Compressor() *lz4Compressor {
	return &lz4Compressor{writers: sync.Pool{New: func() any {
		w := lz4.NewWriter(nil)
		// These constant options are always valid.
		_ = w.Apply(lz4.CompressionLevelOption(lz4.CCompatFast), lz4.ChecksumOption(false),
			lz4.BlockSizeOption(lz4.Block256Kb))
		return w
	}}}
}

// Compress appends the frame to dst.
func (c *lz4Compressor) Compress(dst *bytes.Buffer, src []byte,
	_ ...kgo.CompressFlag) ([]byte, kgo.CompressionCodecType) {
	w := c.writers.Get().(*lz4.Writer)
	defer c.writers.Put(w)
	w.Reset(dst)
	if _, err := w.Write(src); err != nil {
		return nil, kgo.CodecError
	}
	if err := w.Close(); err != nil {
		return nil, kgo.CodecError
	}
	return dst.Bytes(), kgo.CodecLz4
}
