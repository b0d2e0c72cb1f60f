package bmp

import (
	"encoding/binary"
	"fmt"

	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
)

// Up is the body of a Peer Up message after the per-peer header (RFC 7854 section 4.10).
type Up struct {
	Local                 flow.Addr // the router's address in the session; unset if not sent
	LocalPort, RemotePort uint16
	// Sent is the router's OPEN, Received the peer's. For a Loc-RIB the router makes both up. Fields that cannot be
	// read are zero.
	Sent, Received    bgp.Open
	HasSent, HasOpens bool // Sent is read without an error; both are
	Information
}

// ReadUp reads the body of a Peer Up as far as possible. ok is false if an OPEN is malformed. The peer is up even then.
func ReadUp(b []byte) (u Up, ok bool) {
	if len(b) < 20 {
		return u, false
	}
	u.Local, u.LocalPort, u.RemotePort = address(b), binary.BigEndian.Uint16(b[16:]), binary.BigEndian.Uint16(b[18:])
	var good [2]bool
	b = b[20:]
	for i, open := range []*bgp.Open{&u.Sent, &u.Received} {
		if b, good[i] = readOpen(b, open); b == nil {
			break
		}
	}
	u.HasSent, u.HasOpens = good[0], good[0] && good[1]
	u.Information = ReadInformation(b, PeerUp)
	return u, u.HasOpens
}

// readOpen reads an OPEN message and returns the bytes that follow it, or nil if its length is wrong.
func readOpen(b []byte, o *bgp.Open) (rest []byte, ok bool) {
	if len(b) < bgp.HeaderBytes {
		return nil, false
	}
	n := int(binary.BigEndian.Uint16(b[16:]))
	if n < bgp.HeaderBytes || n > len(b) {
		return nil, false
	}
	if bgp.Type(b[18]) != bgp.OpenType {
		return b[n:], false
	}
	var err error
	*o, err = bgp.ReadOpen(b[bgp.HeaderBytes:n])
	return b[n:], err == nil
}

// Rules returns how to read the routes of the view that p belongs to. Of a zero Up the rules are those of a peer whose
// Peer Up is missing: no path identifiers. The rules are lenient, so a Walker corrects them from what it reads.
func (u *Up) Rules(p *Peer) bgp.Rules {
	r := bgp.Rules{Lenient: true, FourByteAS: p.Type == LocRIBPeer || p.Flags&flagTwoByte == 0}
	r.Internal = p.Type != LocRIBPeer && u.Sent.AS != 0 && u.Sent.AS == u.Received.AS
	for i := range r.AddPath {
		in := u.Received.Send[i] && u.Sent.Receive[i]
		out := u.Sent.Send[i] && u.Received.Receive[i]
		switch p.View() {
		case LocRIB: // the router makes both OPENs up (RFC 9069 section 4.2)
			r.AddPath[i] = in || out
		case InPost, InPre:
			r.AddPath[i] = in
		default:
			r.AddPath[i] = out
		}
	}
	return r
}

// DownReason returns why a peer went down. b is the body of a Peer Down (RFC 7854 section 4.9) after the per-peer
// header.
func DownReason(b []byte) string {
	if len(b) < 1 {
		return "no reason given"
	}
	notification := func() string {
		if len(b) < 1+bgp.HeaderBytes {
			return "a NOTIFICATION"
		}
		return bgp.ParseNotification(b[1+bgp.HeaderBytes:]).Error()
	}
	switch b[0] {
	case 1:
		return "the router sent: " + notification()
	case 2:
		if len(b) >= 3 {
			return fmt.Sprintf("the router closed the session: event %d", binary.BigEndian.Uint16(b[1:]))
		}
		return "the router closed the session"
	case 3:
		return "the peer sent: " + notification()
	case 4:
		return "the peer closed the session"
	case 5:
		return "the router no longer reports the peer"
	case 6:
		return "the router closed the table"
	}
	return fmt.Sprintf("reason %d", b[0])
}

// Routes reads the UPDATEs of a Route Monitoring message into a batch. b is the body after the per-peer header, and w
// must have the rules of the peer's view. Routes get the route distinguisher of the peer's VRF unless their prefixes
// have one. It reports whether it read an UPDATE and met no malformed one.
func Routes(w *bgp.Walker, p *Peer, b []byte, batch *route.Batch) (ok bool) {
	start, whole := len(batch.Changes), len(batch.Complete)
	for len(b) >= bgp.HeaderBytes {
		n := int(binary.BigEndian.Uint16(b[16:]))
		if n < bgp.HeaderBytes || n > len(b) {
			ok = false
			break
		}
		if bgp.Type(b[18]) != bgp.UpdateType || w.Update(b[bgp.HeaderBytes:n], batch) != nil {
			ok = false
			break
		}
		ok, b = true, b[n:]
	}
	if p.RD == 0 {
		return ok
	}
	for i := start; i < len(batch.Changes); i++ {
		if c := &batch.Changes[i]; c.Class != route.VPN {
			c.Class, c.RD = route.VPN, p.RD
		}
	}
	for i := whole; i < len(batch.Complete); i++ {
		batch.Complete[i].Class = route.VPN
	}
	return ok
}

// Statistic is a counter or gauge of a Statistics Report (RFC 7854 section 4.8).
type Statistic struct {
	Type      uint16
	Family    route.Family // if HasFamily
	HasFamily bool         // the gauge counts routes of one family
	Value     uint64
}

// Types of statistics that give the number of routes in a view.
const (
	StatInPre         = 7
	StatLocRIB        = 8
	StatInPreFamily   = 9
	StatLocRIBFamily  = 10
	StatOutPre        = 14 // RFC 8671
	StatOutPost       = 15
	StatOutPreFamily  = 16
	StatOutPostFamily = 17
)

// Statistics calls f for each statistic of a Statistics Report. b is the body after the per-peer header. It skips
// statistics of unknown format, and stops where a length exceeds the message.
func Statistics(b []byte, f func(Statistic)) {
	if len(b) < 4 {
		return
	}
	for b = b[4:]; len(b) >= 4; {
		s := Statistic{Type: binary.BigEndian.Uint16(b)}
		n := int(binary.BigEndian.Uint16(b[2:]))
		if n > len(b)-4 {
			return
		}
		v := b[4 : 4+n]
		b = b[4+n:]
		switch n {
		case 4:
			s.Value = uint64(binary.BigEndian.Uint32(v))
		case 8:
			s.Value = binary.BigEndian.Uint64(v)
		case 11:
			if s.Family, s.HasFamily = bgp.FamilyOf(binary.BigEndian.Uint16(v), v[2]); !s.HasFamily {
				continue
			}
			s.Value = binary.BigEndian.Uint64(v[3:])
		default:
			continue
		}
		f(s)
	}
}
