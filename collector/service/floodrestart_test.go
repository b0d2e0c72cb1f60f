package service

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/listen"
	"github.com/metranova/flow-collector/collector/status"
	"github.com/metranova/flow-collector/collector/testkit"
)

// A router that was heard for long keeps all its rows although the store is away, forged sources send many times what
// the spool holds, and the collector is started anew in the middle of that. Each of the sources sends less than the
// router: for how long it was heard (tenures.json) is all that tells them apart.
func TestServe_restartInAFlood(t *testing.T) {
	cfg := testkit.Config(t, "CLICKHOUSE_FLOW_TTL=", "LISTEN="+testkit.FreePort(t), "HTTP_LISTEN=127.0.0.1:0")
	cfg.Listen.Workers = 1
	cfg.Batch.Rows, cfg.Batch.QueueBytes, cfg.Batch.Grace = 1000, 1<<20, time.Second
	cfg.Spool.MaxBytes = 8 << 20
	testkit.MakeTables(t, cfg, testkit.Connect(t, cfg))
	earlier := openTenureFile(filepath.Join(cfg.Metadata.CacheDir, "tenures.json"), time.Hour, zap.NewNop())
	earlier.put(0, []listen.Tenure{{Source: floodedRouter, Seconds: 3600, Latest: time.Now().UnixNano()}})
	if err := earlier.write(time.Now()); err != nil {
		t.Fatal(err)
	}

	store, away := newGate(t), *cfg
	away.Server.Host, away.Server.Port = "127.0.0.1", int(netip.MustParseAddrPort(store.address).Port())
	f := newFloodedSender(t, cfg.Listen.Addresses[0])
	const lost = 60_000 // rows of the flood in each run, more than the spool holds
	first := startConfigured(t, &away, withoutServer)
	f.send(first.httpURL(t), lost)
	first.stop(t)
	second := startConfigured(t, &away, withoutServer)
	f.send(second.httpURL(t), lost)
	store.open(net.JoinHostPort(cfg.Server.Host, portText(cfg.Server.Port)))
	testkit.WaitFor(t, "the rows on disk", func() bool {
		now := exportersOf(t, second.httpURL(t)).Collector
		return now.RowsSpooled+now.RowsWaiting == 0
	})
	second.stop(t)
	stored := testkit.Ask(t, cfg, "SELECT uniqExact(bit_count) FROM data_flow WHERE in_if_index = "+
		strconv.Itoa(floodedInterface)+" AND out_if_index = "+strconv.Itoa(floodedInterface))
	// The time that a datagram takes decides who sends too much. On a host that is busy with other work, that is wrong
	// for some datagrams.
	if n, _ := strconv.Atoi(stored); n < f.flows*95/100 || n > f.flows {
		t.Errorf("%s flows of the router are stored, want %d, or some less on a busy host", stored, f.flows)
	}
}

var floodedRouter = netip.AddrFrom4([4]byte{127, 1, 0, 1})

const (
	floodedInterface = 11  // of the router's flows alone, in both directions
	floodingSources  = 400 // which send one after the other
)

// floodedSender sends NetFlow v5 as a router that numbers its flows by their bytes, and as many forged sources.
type floodedSender struct {
	t      *testing.T
	router net.Conn
	forged [floodingSources]net.Conn
	random *rand.Rand
	flows  int // of the router
	sent   uint64
}

func newFloodedSender(t *testing.T, to string) *floodedSender {
	f := &floodedSender{t: t, random: rand.New(rand.NewPCG(1, 2))}
	dial := func(from netip.Addr) net.Conn {
		conn, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)),
			net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	f.router = dial(floodedRouter)
	for i := range f.forged {
		f.forged[i] = dial(netip.AddrFrom4([4]byte{127, 66, byte(i >> 8), byte(i)}))
	}
	return f
}

// send goes on until a collector has lost so many rows. It is never far ahead of the collector, so that sockets drop
// nothing.
func (f *floodedSender) send(page string, lost uint64) {
	const atOnce, pause = 20, 10 * time.Millisecond
	for f.sent = 0; ; {
		for i, conn := range f.forged {
			if i%atOnce == 0 {
				f.write(f.router, floodedInterface, func() int { f.flows++; return f.flows })
				time.Sleep(pause)
			}
			f.write(conn, floodedInterface+1, func() int { return f.random.IntN(1 << 30) })
		}
		var now status.Collector
		testkit.WaitFor(f.t, "the collector to take what was sent", func() bool {
			now = exportersOf(f.t, page).Collector
			return now.Datagrams+now.OverloadDrops+now.KernelDrops >= f.sent
		})
		if now.RowsLost >= lost {
			return
		}
	}
}

// write sends a datagram of 30 flows between random addresses, all through one interface.
func (f *floodedSender) write(conn net.Conn, index int, bytes func() int) {
	const header, record, flows = 24, 48, 30
	b := make([]byte, header+flows*record)
	be := binary.BigEndian
	be.PutUint16(b, 5)
	be.PutUint16(b[2:], flows)
	be.PutUint32(b[4:], 1_000_000)
	be.PutUint32(b[8:], uint32(time.Now().Unix()))
	for i := range flows {
		r := b[header+i*record:]
		be.PutUint32(r, f.random.Uint32())
		be.PutUint32(r[4:], f.random.Uint32())
		be.PutUint16(r[12:], uint16(index))
		be.PutUint16(r[14:], uint16(index))
		be.PutUint32(r[16:], 1)
		be.PutUint32(r[20:], uint32(bytes()))
		be.PutUint32(r[24:], 999_000)
		be.PutUint32(r[28:], 999_990)
		r[38] = 17
	}
	if _, err := conn.Write(b); err != nil {
		f.t.Fatal(err)
	}
	f.sent++
}
