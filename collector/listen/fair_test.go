package listen

import (
	"fmt"
	"testing"
	"time"
)

// While one socket is always full, a datagram of any other is read within a few calls, whichever of them are busy and wherever
// the reading stands when it comes.
func TestSocketsAreReadInTurn(t *testing.T) {
	const sockets = 3
	for busy := range sockets {
		for quiet := range sockets {
			if quiet == busy {
				continue
			}
			for before := range sockets + 1 { // calls of Receive until it comes
				t.Run(fmt.Sprintf("socket %d full, one datagram on socket %d after %d calls", busy, quiet, before), func(t *testing.T) {
					w := openWorkers(t, Options{Addresses: []string{"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"}, ReceiveBuffer: 4 << 20})[0]
					flood := sender(t, "udp4", "127.0.0.1:0", w.sockets[busy].port)
					for range 4 * batchDatagrams {
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
	w := openWorkers(t, Options{Addresses: []string{"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"}, ReceiveBuffer: 4 << 20})[0]
	for _, s := range w.sockets[1:] {
		flood := sender(t, "udp4", "127.0.0.1:0", s.port)
		for range 5 * batchDatagrams {
			send(t, flood, []byte(s.name))
		}
	}
	var order []string
	for range 8 {
		got, err := w.Receive(time.Second)
		if err != nil || len(got) != batchDatagrams {
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
