package kafka

import (
	"errors"
	"fmt"
	"testing"

	"github.com/metranova/flow-collector/sink/message"
	"github.com/metranova/flow-collector/sink/spool"
)

func TestKeep(t *testing.T) {
	b := batchOf("a", "bb", "", "cccc", "d")
	b.Keys, b.KeyEnds = []byte("k1k22k333"), []int{2, 2, 5, 5, 9}
	keep(b, []int{1, 2, 4})
	var got []string
	for i := range b.Len() {
		got = append(got, string(b.Key(i))+"="+string(b.Message(i)))
	}
	if want := "[=bb k22= k333=d]"; fmt.Sprint(got) != want {
		t.Errorf("kept %v, want %s", got, want)
	}
}

func TestDisk(t *testing.T) {
	plain, keyed := batchOf("a", "", "ccc"), batchOf("a", "bb")
	keyed.Keys, keyed.KeyEnds = []byte("key"), []int{3, 3}
	for _, b := range []*message.Batch{plain, keyed, {}} {
		data := encodeBatch(b)
		got, err := decodeBatch(&spool.Entry{Data: data})
		if err != nil {
			t.Fatal(err)
		}
		if got.Len() != b.Len() {
			t.Fatalf("%d messages, want %d", got.Len(), b.Len())
		}
		for i := range b.Len() {
			if string(got.Message(i)) != string(b.Message(i)) || string(got.Key(i)) != string(b.Key(i)) {
				t.Errorf("message %d is %q, %q", i, got.Key(i), got.Message(i))
			}
		}
		for cut := range data { // a damaged entry is an error, never a panic
			if _, err := decodeBatch(&spool.Entry{Data: data[:cut]}); !errors.Is(err, errDamaged) {
				t.Errorf("cut at %d of %d: %v", cut, len(data), err)
			}
		}
	}
}

// Damage is an error, whatever it is, and what was decoded lies within the entry.
func FuzzDecodeBatch(f *testing.F) {
	keyed := batchOf("a", "bb")
	keyed.Keys, keyed.KeyEnds = []byte("key"), []int{3, 3}
	f.Add(encodeBatch(batchOf("a", "", "ccc")))
	f.Add(encodeBatch(keyed))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := decodeBatch(&spool.Entry{Data: data})
		if err != nil {
			return
		}
		bytes := 0
		for i := range b.Len() {
			bytes += len(b.Message(i)) + len(b.Key(i))
		}
		if bytes > len(data) {
			t.Errorf("%d bytes of messages in %d", bytes, len(data))
		}
	})
}
