package flooded

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// The router beside the floods: NetFlow v9 from an address of its own, at a rate, with its template every ten minutes.
const (
	routerDevice  = "router"
	flowsAtOnce   = 20
	sendEvery     = 100 * time.Millisecond
	templateEvery = 10 * time.Minute
	templateID    = 256
	// isRouter is the condition that a row is the router's, whatever metadata knew of it: hostile rows have other
	// interfaces or ports.
	isRouter = "in_if_index = 11 AND out_if_index = 12 AND src_port = 443"
)

var routerAddress = netip.AddrFrom4([4]byte{127, 1, 0, 1})

// router numbers its flows from 1 on. A flow's number is its byte count, so that each row tells which flow it is.
type router struct {
	conn     *net.UDPConn
	sent     atomic.Uint64 // flows
	sequence uint32
	started  time.Time
	template time.Time // when it was last sent
}

// routerFields are the elements of a flow and their lengths: addresses, ports, protocol, interfaces, bytes, packets and
// times.
var routerFields = [][2]uint16{{8, 4}, {12, 4}, {7, 2}, {11, 2}, {4, 1}, {10, 2}, {14, 2}, {1, 4}, {2, 4}, {22, 4},
	{21, 4}}

func newRouter(to netip.AddrPort) (*router, error) {
	conn, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(routerAddress, 0)),
		net.UDPAddrFromAddrPort(to))
	if err != nil {
		return nil, fmt.Errorf("send from %s: %w", routerAddress, err)
	}
	return &router{conn: conn, started: time.Now()}, nil
}

// run sends 200 flows a second until ctx ends.
func (r *router) run(ctx context.Context) {
	ticker := time.NewTicker(sendEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			_, _ = r.conn.Write(r.datagram(now)) // what does not arrive is seen in the table
		}
	}
}

// datagram is the next one, with the template if it is time for it.
func (r *router) datagram(now time.Time) []byte {
	const start = time.Hour // of its uptime
	uptime := uint32((now.Sub(r.started) + start).Milliseconds())
	be, records := binary.BigEndian, flowsAtOnce
	b := make([]byte, 20, 1500)
	if now.Sub(r.template) >= templateEvery {
		r.template = now
		records++
		b = be.AppendUint16(be.AppendUint16(b, 0), uint16(8+4*len(routerFields)))
		b = be.AppendUint16(be.AppendUint16(b, templateID), uint16(len(routerFields)))
		for _, f := range routerFields {
			b = be.AppendUint16(be.AppendUint16(b, f[0]), f[1])
		}
	}
	set := len(b)
	b = be.AppendUint16(be.AppendUint16(b, templateID), 0)
	for range flowsAtOnce {
		n := uint32(r.sent.Add(1))
		b = be.AppendUint32(be.AppendUint32(b, 10<<24|n%1000), 10<<24|n%777)
		b = append(be.AppendUint16(be.AppendUint16(b, 443), uint16(n)), 6)
		b = be.AppendUint16(be.AppendUint16(b, 11), 12)
		b = be.AppendUint32(be.AppendUint32(b, n), 1)
		b = be.AppendUint32(be.AppendUint32(b, uptime-1000), uptime-10)
	}
	be.PutUint16(b[set+2:], uint16(len(b)-set))
	be.PutUint16(b, 9)
	be.PutUint16(b[2:], uint16(records))
	be.PutUint32(b[4:], uptime)
	be.PutUint32(b[8:], uint32(now.Unix()))
	be.PutUint32(b[12:], r.sequence)
	be.PutUint32(b[16:], 1)
	r.sequence++
	return b
}

// writeMetadata names the router, so that its rows are told from others.
func writeMetadata(dir string) error {
	text := fmt.Sprintf("table: meta_device\ndata:\n  - {id: %s, type: router, loopback_ip: [%q]}\n", routerDevice,
		routerAddress)
	return os.WriteFile(filepath.Join(dir, "meta_device.yml"), []byte(text), 0o600)
}
