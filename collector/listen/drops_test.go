package listen

import (
	"math"
	"sync"
	"testing"
	"time"
)

// drain reads until nothing comes for a while, and returns how many datagrams came.
func drain(t testing.TB, w *Worker) (n uint64) {
	t.Helper()
	for {
		batch, err := w.Receive(20 * time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if len(batch) == 0 && !w.more {
			return n
		}
		n += uint64(len(batch))
	}
}

// What was sent was read or is counted as dropped, at once and not only with the next datagram.
func TestKernelDropsAreCounted(t *testing.T) {
	const sent = 2000
	w := openWorkers(t, Options{ReceiveBuffer: 1 << 12, Addresses: []string{"127.0.0.1:0", "127.0.0.1:0"}})[0]
	conn := sender(t, "udp4", "127.0.0.1:0", w.sockets[1].port)
	burst := func() {
		for range sent {
			send(t, conn, make([]byte, 1000))
		}
	}
	balance := func(when string, sent, read uint64) {
		t.Helper()
		s := w.Stats()
		if s.KernelDrops == 0 || read+s.KernelDrops != sent || s.Late != 0 {
			t.Errorf("%s: %d read, %d dropped and %d late, want together %d and none late", when, read, s.KernelDrops,
				s.Late, sent)
		}
		if sockets := w.Sockets(); len(sockets) != 2 || sockets[0].KernelDrops != 0 ||
			sockets[1] != (SocketStats{w.Addresses()[1], s.KernelDrops, 0}) {
			t.Errorf("%s: sockets: %+v", when, sockets)
		}
	}
	burst()
	read := drain(t, w)
	balance("after a burst", sent, read)
	send(t, conn, []byte("brings the counter too"))
	read += drain(t, w)
	balance("after one more datagram", sent+1, read)

	// A stop right after another burst: what is queued is read, the drops are known before and after the sockets are
	// closed.
	burst()
	w.Close()
	for {
		batch, err := w.Receive(time.Second)
		if err != nil {
			break
		}
		read += uint64(len(batch))
	}
	balance("at the stop", 2*sent+1, read)
	const late = 7
	for range late {
		send(t, conn, []byte("late"))
	}
	w.Free()
	s := w.Stats()
	if read+s.KernelDrops != 2*sent+1 || s.Late != late {
		t.Errorf("after the stop: %d read, %d dropped, %d late; want together %d, and %d late", read, s.KernelDrops,
			s.Late, 2*sent+1, late)
	}
}

// The kernel's counter has 32 bits, and is read from two places: one of them may be behind.
func TestDropCounterWrapsAndNeverGoesBack(t *testing.T) {
	tests := []struct {
		name  string
		from  uint64
		count []uint32
		want  uint64
	}{
		{"grows", 0, []uint32{1, 5, 5}, 5},
		{"wraps", math.MaxUint32 - 1, []uint32{3}, 1<<32 + 3},
		{"an older count is no growth", 10, []uint32{20, 15, 20, 21}, 21},
		{"an older count from before a wrap", 1<<32 + 2, []uint32{math.MaxUint32, 4}, 1<<32 + 4},
		{"second wrap", 2<<32 - 1, []uint32{0}, 2 << 32},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var s socket
			s.drops.Store(test.from)
			for _, c := range test.count {
				s.advance(c)
			}
			if got := s.drops.Load(); got != test.want {
				t.Errorf("%d drops, want %d", got, test.want)
			}
		})
	}
}

// The counters may be asked for while datagrams come and while the sockets are closed.
func TestStatsWhileReceiving(t *testing.T) {
	w := openWorkers(t, Options{ReceiveBuffer: 1 << 12})[0]
	conn := sender(t, "udp4", "127.0.0.1:0", w.sockets[0].port)
	var readers sync.WaitGroup
	end := make(chan struct{})
	for range 3 {
		readers.Go(func() {
			for last := uint64(0); ; {
				n := w.Stats().KernelDrops
				if n < last {
					t.Errorf("drops fell from %d to %d", last, n)
				}
				last = n
				select {
				case <-end:
					return
				default:
				}
			}
		})
	}
	const sent = 5000
	read := uint64(0)
	for range sent / 100 {
		for range 100 {
			send(t, conn, make([]byte, 1000))
		}
		batch, err := w.Receive(time.Second)
		if err != nil {
			t.Fatal(err)
		}
		read += uint64(len(batch))
	}
	read += drain(t, w)
	w.Close()
	w.Free()
	close(end)
	readers.Wait()
	if s := w.Stats(); read+s.KernelDrops != sent {
		t.Errorf("%d read and %d dropped, want together %d", read, s.KernelDrops, sent)
	}
}
