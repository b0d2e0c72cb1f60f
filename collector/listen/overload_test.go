package listen

import (
	"net/netip"
	"testing"
	"time"
)

// With a receive buffer that is nearly full, a worker reads all that is in it and hands on what is of a router that
// behaves; what it drops of the flood is counted of its source, and everything adds up.
func TestWorkerDropsTheFloodFirst(t *testing.T) {
	w := openWorkers(t, Options{ReceiveBuffer: 1 << 20})[0]
	s := w.sockets[0]
	router, flood := netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")
	good := sender(t, "udp4", router.String()+":0", s.port)
	bad := sender(t, "udp4", flood.String()+":0", s.port)
	// The worker runs for some time: the router gives records now and then, the other takes nearly all of its time.
	w.opened = w.opened.Add(-time.Minute)
	for _, second := range []time.Duration{58, 59} {
		w.share.begin(second*time.Second, 0)
		w.share.Charge(router, 10*time.Microsecond, 1000, 20)
		for range 500 {
			w.share.Charge(flood, time.Millisecond, 60000, 0)
		}
	}
	sent := uint64(0)
	for s.fill() < 0.7 {
		send(t, bad, make([]byte, 1000))
		sent++
	}
	const routers = 100
	for range routers {
		send(t, good, []byte("good"))
	}
	var ofRouter, ofFlood uint64
	for ofRouter < routers {
		batch, err := w.Receive(time.Second)
		if err != nil || len(batch) == 0 && !w.more {
			t.Fatalf("%d datagrams of the router came, of %d (%v)", ofRouter, routers, err)
		}
		for i := range batch {
			switch batch[i].Source.Addr() {
			case router:
				ofRouter++
			case flood:
				ofFlood++
			}
		}
	}
	stats := w.Stats()
	if stats.OverShare == 0 || stats.OverShare > w.OverShare()[flood]+namedAfter {
		t.Errorf("%d dropped, of the flood's source %d", stats.OverShare, w.OverShare()[flood])
	}
	if ofFlood+stats.OverShare != sent || stats.KernelDrops != 0 {
		t.Errorf("of %d datagrams of the flood %d were handed on, %d dropped, %d dropped by the kernel", sent, ofFlood,
			stats.OverShare, stats.KernelDrops)
	}
}

// What waits in the kernel when a worker starts is no flood: all of it is read.
func TestWorkerCatchesUpAfterItsStart(t *testing.T) {
	w := openWorkers(t, Options{ReceiveBuffer: 1 << 20})[0]
	s := w.sockets[0]
	source := netip.MustParseAddr("127.0.0.2")
	exporter := sender(t, "udp4", source.String()+":0", s.port)
	sent := 0
	for s.fill() < 0.9 {
		send(t, exporter, make([]byte, 1000))
		sent++
	}
	for read := 0; read < sent; {
		batch, err := w.Receive(time.Second)
		if err != nil || len(batch) == 0 && !w.more {
			t.Fatalf("%d of %d were read (%v), %d dropped", read, sent, err, w.Stats().OverShare)
		}
		read += len(batch)
		for i := range batch {
			w.share.Charge(batch[i].Source.Addr(), time.Millisecond, len(batch[i].Payload), 20)
		}
	}
}
