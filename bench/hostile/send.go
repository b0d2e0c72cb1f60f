package hostile

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Sending says where a flood goes, from where and how fast. Floods go from and to loopback addresses of IPv4 only.
type Sending struct {
	To   netip.AddrPort
	From netip.Addr // the first source
	Rate float64    // datagrams a second; 0: the kind's
	For  time.Duration
}

// Sent is what a flood sent.
type Sent struct {
	Datagrams, Bytes int
	Took             time.Duration
}

// Send sends a kind's datagrams: from one socket for each source, as many as are in use at a time.
func (k Kind) Send(ctx context.Context, o Sending) (s Sent, err error) {
	if !o.To.Addr().IsLoopback() || !o.From.Is4() || !o.From.IsLoopback() {
		return s, fmt.Errorf("floods go from and to loopback addresses of IPv4 only, not from %s to %s", o.From, o.To)
	}
	if o.Rate <= 0 {
		o.Rate = float64(k.Rate)
	}
	flood := k.Flood(uint64(time.Now().UnixNano()), time.Now())
	var from netip.Addr
	var conn *net.UDPConn
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	began := time.Now()
	for time.Since(began) < o.For && ctx.Err() == nil {
		source, payload := flood.Next(o.From)
		if source != from {
			if conn != nil {
				conn.Close()
			}
			if conn, err = net.DialUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(source, 0)),
				net.UDPAddrFromAddrPort(o.To)); err != nil {
				return s, err
			}
			from = source
		}
		// A full send buffer or a collector that is away does not end the flood.
		if _, err := conn.Write(payload); err == nil {
			s.Datagrams, s.Bytes = s.Datagrams+1, s.Bytes+len(payload)
		}
		if wait := time.Until(began.Add(time.Duration(float64(s.Datagrams) / o.Rate * 1e9))); wait > time.Millisecond {
			time.Sleep(wait)
		}
	}
	s.Took = time.Since(began)
	return s, nil
}
