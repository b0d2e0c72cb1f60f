package routing

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich/rib"
)

// Routes beyond the bound of a neighbour are left out, and asked for again once there is room.
func TestRefresh(t *testing.T) {
	s := open(t, Options{MaxRoutes: map[netip.Prefix]int64{netip.MustParsePrefix("127.0.0.2/32"): 3}})
	s.run(func() { s.refreshWait = time.Millisecond })
	reader := s.RIB().NewReader()
	x := connect(t, s, "127.0.0.2", local("192.0.2.2"))
	x.announce(7, "10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8", "13.0.0.0/8")
	leftOut := func(n uint64) {
		t.Helper()
		eventually(t, func() string {
			if all := s.Stats().Sessions; len(all) != 1 || all[0].LeftOut != n || all[0].Refused != 1 {
				return fmt.Sprintf("sessions %+v", all)
			}
			return ""
		})
	}
	leftOut(1)
	expect(t, s, reader, "127.0.0.2", map[string]int{"12.1.2.3": 7, "13.1.2.3": -1})
	if n := x.refreshes.Load(); n != 0 {
		t.Errorf("asked %d times although the table is full", n)
	}
	x.withdraw("10.0.0.0/8")
	eventually(t, func() string {
		if n := x.refreshes.Load(); n != 2 { // both families of the OPEN
			return fmt.Sprintf("asked for %d families", n)
		}
		return ""
	})
	leftOut(0)
	x.announce(7, "11.0.0.0/8", "12.0.0.0/8", "13.0.0.0/8")
	expect(t, s, reader, "127.0.0.2", map[string]int{"10.1.2.3": -1, "13.1.2.3": 7})
	if n := x.refreshes.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
}

// A raised limit of all routes has the routers asked for what was left out; a lower one removes nothing.
func TestSetLimits(t *testing.T) {
	s := open(t, Options{RIB: rib.Options{MaxRoutes: 2}})
	s.run(func() { s.refreshWait = time.Millisecond })
	x := connect(t, s, "127.0.0.2", local("192.0.2.2"))
	x.announce(7, "10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8")
	sessionIs(t, s, func(p *Session) bool { return p.LeftOut == 1 && p.Routes[0] == 2 })
	s.SetLimits(1<<30, 100)
	eventually(t, func() string {
		if n, most := x.refreshes.Load(), s.Stats().RIB.MaxBytes; n == 0 || most != 1<<30 {
			return fmt.Sprintf("asked for %d families, %d bytes at most", n, most)
		}
		return ""
	})
	x.announce(7, "10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8")
	sessionIs(t, s, func(p *Session) bool { return p.LeftOut == 0 && p.Routes[0] == 3 })
	s.SetLimits(128<<20, 1)
	x.announce(7, "13.0.0.0/8")
	sessionIs(t, s, func(p *Session) bool { return p.LeftOut == 1 && p.Routes[0] == 3 })
}

// A router that does not answer, or has no ROUTE-REFRESH, sends all its routes in another session.
func TestRefresh_unanswered(t *testing.T) {
	for _, offered := range []bool{true, false} {
		s := open(t, Options{MaxRoutes: map[netip.Prefix]int64{netip.MustParsePrefix("127.0.0.2/32"): 3}})
		s.run(func() { s.refreshWait, s.refreshAnswer = time.Millisecond, 10*time.Millisecond })
		o := local("192.0.2.2")
		o.Refresh = offered
		x := connect(t, s, "127.0.0.2", o)
		x.announce(7, "10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8", "13.0.0.0/8")
		sessionIs(t, s, func(p *Session) bool { return p.LeftOut == 1 })
		x.withdraw("10.0.0.0/8")
		if n := x.ended(); n == nil || n.Code != bgp.Cease || n.Subcode != bgp.CeaseReset {
			t.Errorf("offered %t: the session ends with %v", offered, n)
		}
		if n := x.refreshes.Load(); n > 0 != offered {
			t.Errorf("offered %t: asked for %d families", offered, n)
		}
		down := sessionIs(t, s, func(p *Session) bool { return !p.Up })
		if !strings.Contains(down.Why, "ROUTE-REFRESH") || down.Routes[0] != 2 {
			t.Errorf("offered %t: %+v", offered, down)
		}
		x = connect(t, s, "127.0.0.2", o)
		x.announce(7, "11.0.0.0/8", "12.0.0.0/8", "13.0.0.0/8")
		sessionIs(t, s, func(p *Session) bool { return p.Up && p.Routes[0] == 3 && p.LeftOut == 0 })
	}
}

// A router that keeps more than fits is asked less and less often.
func TestRefresh_waits(t *testing.T) {
	var r refresh
	now, asked := time.Unix(1e9, 0), []time.Duration{}
	for since := time.Duration(0); since < 5*time.Hour; since += time.Second {
		if r.due(now.Add(since), refreshWait) {
			asked = append(asked, since)
		}
	}
	want := []time.Duration{0, time.Minute, 3 * time.Minute, 7 * time.Minute, 15 * time.Minute, 31 * time.Minute,
		63 * time.Minute, 123 * time.Minute, 183 * time.Minute, 243 * time.Minute}
	if fmt.Sprint(asked) != fmt.Sprint(want) {
		t.Errorf("asked after %v, want %v", asked, want)
	}
}

// Configured routers that are not there are told, whether they were there before or not.
func TestAbsent(t *testing.T) {
	s := open(t, Options{KeepStale: time.Millisecond, Neighbors: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32"),
		netip.MustParsePrefix("127.0.0.3/32"), netip.MustParsePrefix("127.0.1.0/24"),
		netip.MustParsePrefix("127.0.2.0/24")}})
	absent := func(want ...string) {
		t.Helper()
		eventually(t, func() string {
			var got []string
			for _, x := range s.Stats().Absent {
				text := x.Protocol + " " + x.Router
				if !x.Since.IsZero() && x.Why != "" {
					text += " ended"
				}
				got = append(got, text)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				return fmt.Sprintf("absent: %q, want %q", got, want)
			}
			return ""
		})
	}
	absent("BGP 127.0.0.2", "BGP 127.0.0.3", "BGP 127.0.1.0/24", "BGP 127.0.2.0/24")
	one := connect(t, s, "127.0.0.2", local("192.0.2.2"))
	many := connect(t, s, "127.0.1.7", local("192.0.2.7"))
	absent("BGP 127.0.0.3", "BGP 127.0.2.0/24")
	_ = one.conn.Close()
	_ = many.conn.Close()
	absent("BGP 127.0.0.2 ended", "BGP 127.0.0.3", "BGP 127.0.2.0/24")
	connect(t, s, "127.0.0.2", local("192.0.2.2"))
	absent("BGP 127.0.0.3", "BGP 127.0.2.0/24")
	go dial(t, s, "127.0.0.9").receive()
	eventually(t, func() string {
		if st := s.Stats(); st.Stranger != netip.MustParseAddr("127.0.0.9") || st.Refused != 1 {
			return fmt.Sprintf("refused %d, the latest %s", st.Refused, st.Stranger)
		}
		return ""
	})
}

// The ends of sessions are remembered, the latest ones.
func TestEnds(t *testing.T) {
	s := open(t, Options{})
	for n := range mostEnds + 2 {
		_ = connect(t, s, "127.0.0.2", local("192.0.2.2")).conn.Close()
		eventually(t, func() string {
			all := s.Stats().Sessions
			if len(all) != 1 || all[0].Up || all[0].Sessions != uint64(n+1) || len(all[0].Ends) != min(n+1, mostEnds) {
				return fmt.Sprintf("after %d ends: %+v", n+1, all)
			}
			return ""
		})
	}
}

func TestMD5Failures(t *testing.T) {
	text := "TcpExt: SyncookiesSent TCPMD5NotFound TCPMD5Unexpected TCPMD5Failure Other\nTcpExt: 9 1 20 300 7\n" +
		"IpExt: TCPMD5Failure\nIpExt: 5\n"
	if n := md5Failures(text); n != 321 {
		t.Errorf("%d, want 321", n)
	}
	for _, text := range []string{"", "TcpExt:\n", "TcpExt: TCPMD5Failure\n", "TcpExt: TCPMD5Failure\nTcpExt: x\n"} {
		if n := md5Failures(text); n != 0 {
			t.Errorf("%q: %d", text, n)
		}
	}
}

// A session is killed and comes back with other routes: meanwhile the routes of before are used, and after End-of-RIB
// the table is what the router has announced, no more and no less.
func TestReconnect_exactTable(t *testing.T) {
	const prefixes = 4000
	s := open(t, Options{})
	reader := s.RIB().NewReader()
	table := func(generation int) (want map[string]uint32, byRoute map[uint32][]string) {
		want, byRoute = map[string]uint32{}, map[uint32][]string{}
		for n := range prefixes {
			var a [4]byte
			binary.BigEndian.PutUint32(a[:], 10<<24|uint32(n)<<8)
			p := netip.PrefixFrom(netip.AddrFrom4(a), 24).String()
			number := uint32(n%100 + 1)
			if generation > 0 {
				switch n % 60 {
				case 0: // not there any more
					continue
				case 1, 2: // another route
					number += 1000
				}
			}
			want[p] = number
			byRoute[number] = append(byRoute[number], p)
		}
		return want, byRoute
	}
	announce := func(x *speaker, byRoute map[uint32][]string) {
		for number, all := range byRoute {
			for ; len(all) > 0; all = all[min(500, len(all)):] {
				x.announce(number, all[:min(500, len(all))]...)
			}
		}
		x.complete()
	}
	is := func(want map[string]uint32) {
		t.Helper()
		eventually(t, func() string {
			got := map[string]uint32{}
			r := s.RIB().RouterAt(flow.AddrFrom(netip.MustParseAddr("127.0.0.2")))
			if r == nil || r.Table(route.Unicast, 0) == nil {
				return "no table"
			}
			walk := reader.Walk([]*rib.Table{r.Table(route.Unicast, 0)}, false)
			for more := true; more; {
				reader.Enter()
				more, _ = walk.Next(func(p route.Prefix, all []rib.Entry) error {
					got[p.String()], _ = all[0].MED()
					return nil
				})
				reader.Leave()
			}
			if len(got) != len(want) {
				return fmt.Sprintf("%d prefixes, want %d", len(got), len(want))
			}
			for p, number := range want {
				if got[p] != number {
					return fmt.Sprintf("%s has route %d, want %d", p, got[p], number)
				}
			}
			return ""
		})
	}
	before, announced := table(0)
	x := connect(t, s, "127.0.0.2", local("192.0.2.2"))
	announce(x, announced)
	is(before)
	_ = x.conn.Close()
	eventually(t, func() string {
		if all := s.Stats().Sessions; all[0].Up {
			return "still up"
		}
		return ""
	})
	is(before) // stale
	after, announced := table(1)
	x = connect(t, s, "127.0.0.2", local("192.0.2.2"))
	is(before)
	announce(x, announced)
	is(after)
	if st := s.Stats(); st.RIB.SweepsToDo != 0 && st.RIB.Routes != int64(len(after)) {
		t.Errorf("%+v", st.RIB)
	}
}
