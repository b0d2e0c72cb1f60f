package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/metranova/flow-collector/sink/message"
	"github.com/metranova/flow-collector/sink/spool"
)

// A batch on disk is the data of an entry of the spool, whose query is the topic:
//
//	version, 1
//	the number of messages, as all numbers that follow a varint
//	1 if they have keys, else 0
//	the length of each message, then of each key
//	the messages, the keys
//
// The version is the first byte in every version. A batch of another version stays on disk, until the program that
// wrote it runs again or the spool's bounds drop it.
const diskVersion = 1

var (
	errDamaged = errors.New("not a batch of messages")
	errVersion = errors.New("a batch of messages of another version")
)

// encodeBatch encodes a batch for the disk.
func encodeBatch(b *message.Batch) []byte {
	n := b.Len()
	data := make([]byte, 0, len(b.Data)+len(b.Keys)+2*n*binary.MaxVarintLen32+16)
	data = append(data, diskVersion)
	data = binary.AppendUvarint(data, uint64(n))
	if len(b.KeyEnds) == 0 {
		data = binary.AppendUvarint(data, 0)
	} else {
		data = binary.AppendUvarint(data, 1)
	}
	data = appendLengths(data, b.Ends)
	data = appendLengths(data, b.KeyEnds)
	data = append(data, b.Data...)
	return append(data, b.Keys...)
}

func appendLengths(data []byte, ends []int) []byte {
	begin := 0
	for _, end := range ends {
		data = binary.AppendUvarint(data, uint64(end-begin))
		begin = end
	}
	return data
}

// decodeBatch is the reverse. The batch's messages are parts of the entry's data.
func decodeBatch(e *spool.Entry) (*message.Batch, error) {
	rest := e.Data
	if len(rest) == 0 {
		return nil, errDamaged
	}
	if rest[0] != diskVersion {
		return nil, fmt.Errorf("%w: %d, known here is %d", errVersion, rest[0], diskVersion)
	}
	rest = rest[1:]
	n, rest := uvarint(rest)
	keyed, rest := uvarint(rest)
	if rest == nil || n > uint64(len(rest)) || keyed > 1 {
		return nil, errDamaged
	}
	b := &message.Batch{Apart: e.Apart}
	b.Ends, rest = lengths(rest, n)
	if keyed == 1 {
		b.KeyEnds, rest = lengths(rest, n)
	}
	all, keys := last(b.Ends), last(b.KeyEnds)
	if rest == nil || len(rest) != all+keys {
		return nil, errDamaged
	}
	b.Data, b.Keys = rest[:all:all], rest[all:]
	return b, nil
}

// uvarint reads a number; the rest is nil if there is none.
func uvarint(data []byte) (uint64, []byte) {
	v, n := binary.Uvarint(data)
	if n <= 0 || v > math.MaxUint32 {
		return 0, nil
	}
	return v, data[n:]
}

func lengths(data []byte, n uint64) (ends []int, rest []byte) {
	ends, end := make([]int, 0, n), 0
	for range n {
		var length uint64
		length, data = uvarint(data)
		end += int(length)
		ends = append(ends, end)
	}
	return ends, data
}

func last(ends []int) int {
	if len(ends) == 0 {
		return 0
	}
	return ends[len(ends)-1]
}
