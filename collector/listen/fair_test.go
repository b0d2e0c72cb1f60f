package listen

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// While one socket is always full, a datagram of any other is read within a few calls, whichever of them are busy and
// wherever the reading stands when it comes.
func TestSocketsAreReadInTurn(t *testing.T) {
	const sockets = 3
	for busy := range sockets {
		for quiet := range sockets {
			if quiet == busy {
				continue
			}
			for before := range sockets + 1 { // calls of Receive until it comes
				t.Run(fmt.Sprintf("socket %d full, one datagram on socket %d after %d calls", busy, quiet, before),
					func(t *testing.T) {
						w := openWorkers(t, Options{Addresses: []string{"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"},
							ReceiveBuffer: 4 << 20})[0]
						flood := sender(t, "udp4", "127.0.0.1:0", w.sockets[busy].port)
						for range 4 * BatchDatagrams {
							send(t, flood, []byte("x"))
						}
						for call := range before + sockets {
							if call == before {
								send(t, sender(t, "udp4", "127.0.0.1:0", w.sockets[quiet].port), []byte("quiet"))
							}
							got, err := w.Receive(time.Second)
							if err != nil {
								t.Fatal(err)
							}
							if len(got) > 0 && string(got[0].Payload) == "quiet" {
								return
							}
							for range got {
								send(t, flood, []byte("x"))
							}
						}
						t.Errorf("not read in %d calls", sockets)
					})
			}
		}
	}
}

// Two full sockets get the same number of reads.
func TestFullSocketsTakeTurns(t *testing.T) {
	w := openWorkers(t, Options{Addresses: []string{"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"},
		ReceiveBuffer: 4 << 20})[0]
	for _, s := range w.sockets[1:] {
		flood := sender(t, "udp4", "127.0.0.1:0", s.port)
		for range 5 * BatchDatagrams {
			send(t, flood, []byte(s.name))
		}
	}
	var order []string
	for range 8 {
		got, err := w.Receive(time.Second)
		if err != nil || len(got) != BatchDatagrams {
			t.Fatalf("%d datagrams, %v", len(got), err)
		}
		order = append(order, string(got[0].Payload))
	}
	for i := 1; i < len(order); i++ {
		if order[i] == order[i-1] {
			t.Errorf("read in the order %v", order)
		}
	}
}

// A flood that is refused is read without a pause between full reads, and every call comes back, so that what waits for
// its time is not late.
func TestRefusedFloodIsReadWithoutPause(t *testing.T) {
	w := openWorkers(t, Options{ReceiveBuffer: gatherBuffer,
		Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.9.9/32")}})[0]
	if w.buffer < gatherBuffer {
		t.Skip("the kernel gives no receive buffer that is large enough: sysctl -w net.core.rmem_max=4194304")
	}
	w.pause = unix.NsecToTimespec(int64(time.Hour))
	flood := sender(t, "udp4", "127.0.0.1:0", w.sockets[0].port)
	const batches = 10
	for range batches * BatchDatagrams {
		send(t, flood, []byte("x"))
	}
	for call := range batches {
		if got, err := w.Receive(time.Second); err != nil || len(got) != 0 {
			t.Fatalf("%d datagrams, %v", len(got), err)
		}
		if n := w.Stats().Refused; n != uint64(call+1)*BatchDatagrams {
			t.Fatalf("%d were read in %d calls", n, call+1)
		}
	}
}
