package listen

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// heard is a source that gives records every second from one second to another.
type heard struct {
	source   string
	from, to int           // seconds, to included
	cost     time.Duration // of a second
}

// charge has a share hear sources for so many seconds.
func charge(s *Share, seconds int, sources ...heard) {
	for second := range seconds {
		s.begin(time.Duration(second)*time.Second, 0)
		for _, h := range sources {
			if second < h.from || second > h.to {
				continue
			}
			const size = 60_000 // so that the whole cost is charged
			for left := h.cost; left > 0; left -= time.Millisecond {
				s.Charge(netip.MustParseAddr(h.source), min(left, time.Millisecond), size, 1)
			}
		}
	}
	s.begin(time.Duration(seconds)*time.Second, 0)
}

func TestLarge(t *testing.T) {
	const router, router2, big, flood = "192.0.2.1", "192.0.2.2", "192.0.2.3", "203.0.113.1"
	routers := []heard{
		{router, 0, 99, time.Millisecond}, {router2, 0, 99, 2 * time.Millisecond}, {big, 0, 99, 9 * time.Millisecond},
	}
	flooding := heard{flood, 0, 99, 300 * time.Millisecond}
	lately := heard{flood, 90, 99, 300 * time.Millisecond}
	for name, test := range map[string]struct {
		own, other []heard // the sources of a worker and of another one
		large      []string
		small      []string
	}{
		"one source":              {routers[:1], nil, nil, []string{router}},
		"routers without a flood": {routers, nil, []string{big}, []string{router, router2}},
		"a flood of a known source": {append(routers, flooding), nil, []string{flood},
			[]string{router, router2, big}},
		"a flood that began lately": {append(routers, lately), nil, []string{flood}, []string{router, router2, big}},
		"a new router": {append(routers, heard{flood, 95, 99, time.Microsecond}), nil, []string{flood, big},
			[]string{router}},
		"a source of which nothing is known": {routers, nil, []string{flood}, nil},
		"a flood of another worker":          {routers, []heard{flooding}, nil, []string{router, router2, big}},
		"a flood alone, routers elsewhere":   {[]heard{flooding}, routers, []string{flood}, nil},
		"a worker that was silent for long": {routers, []heard{{flood, 0, 9, time.Second}}, []string{big},
			[]string{router, router2}},
	} {
		t.Run(name, func(t *testing.T) {
			s, other := NewShare(), NewShare()
			among([]*Share{s, other})
			if n := len(test.other); n > 0 {
				charge(other, test.other[0].to+1, test.other...)
			}
			charge(s, 100, test.own...)
			for want, sources := range map[bool][]string{true: test.large, false: test.small} {
				for _, source := range sources {
					if got := s.Large(netip.MustParseAddr(source)); got != want {
						t.Errorf("%s is large: %t", source, got)
					}
				}
			}
		})
	}
}

// Sources that come while rows are set apart stay new for as long as that goes on, one that was there before does not
// become new, and afterwards all are compared with each other. Each of the new ones takes less than the router.
func TestLarge_newWhileSetApart(t *testing.T) {
	router := netip.MustParseAddr("192.0.2.1")
	flood := func(n int) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, 113, byte(n)}) }
	for name, test := range map[string]struct {
		begins int  // the second in which rows begin to be set apart
		large  bool // the new source is, long after
	}{
		"heard for long before":   {190, true},
		"from the very beginning": {0, false}, // nobody is older
	} {
		t.Run(name, func(t *testing.T) {
			s := NewShare()
			at := 0
			second := func(asked bool) {
				s.begin(time.Duration(at)*time.Second, 0)
				for range 20 {
					s.Charge(router, time.Millisecond, 60_000, 10)
				}
				for n := range 200 * min(1, at/(test.begins+5)) {
					s.Charge(flood(n%100), time.Millisecond, 60_000, 10)
				}
				if asked {
					s.Large(router)
				}
				at++
			}
			for at < 2000 {
				second(at >= test.begins)
			}
			if got := s.Large(flood(1)); got != test.large {
				t.Errorf("a new source is large: %t", got)
			}
			if got := s.Large(router); got == test.large {
				t.Errorf("the router is large: %t", got)
			}
			for range believed + 2 {
				second(false)
			}
			if s.Large(flood(1)) {
				t.Error("it is large although it takes less than the router, and no rows are set apart")
			}
		})
	}
}

// Who was heard for long is known after a restart: a flood that goes on at that time is new, and the routers are not.
func TestTenures(t *testing.T) {
	const router, flood = "192.0.2.1", "203.0.113.1"
	now := time.Unix(1_700_000_000, 0)
	s := NewShare()
	charge(s, 100, heard{router, 0, 97, time.Millisecond}, heard{"2001:db8::1", 0, 99, time.Millisecond},
		heard{"192.0.2.9", 50, 50, time.Millisecond})
	saved := s.Tenures(now)
	slices.SortFunc(saved, func(a, b Tenure) int { return a.Source.Compare(b.Source) })
	want := []Tenure{{netip.MustParseAddr(router), 98, now.Add(-3 * time.Second).UnixNano()},
		{netip.MustParseAddr("2001:db8::1"), 100, now.Add(-time.Second).UnixNano()}}
	if diff := cmp.Diff(want, saved, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	next := NewShare()
	next.Restore(append(saved, Tenure{}, Tenure{Source: netip.MustParseAddr("192.0.2.8"), Seconds: 1}))
	next.begin(0, 0)
	if next.Large(netip.MustParseAddr(router)) || !next.Settled(netip.MustParseAddr(router)) {
		t.Error("the router is not known after the restart")
	}
	if all := next.Tenures(now); len(all) > 0 {
		t.Errorf("heard in this run: %v", all)
	}
	charge(next, 10, heard{router, 0, 9, time.Millisecond}, heard{flood, 0, 9, 5 * time.Millisecond})
	if next.Large(netip.MustParseAddr(router)) || !next.Large(netip.MustParseAddr(flood)) ||
		next.Settled(netip.MustParseAddr(flood)) || next.Settled(netip.MustParseAddr("192.0.2.8")) {
		t.Error("the flood is not new, or the router is")
	}
	if all := next.Tenures(now); len(all) != 2 {
		t.Errorf("heard in this run: %v", all)
	}
	charge(next, silentFor+20)
	next.begin((silentFor+20)*time.Second, 0)
	if next.Settled(netip.MustParseAddr("2001:db8::1")) {
		t.Error("a source of the last run that does not send is not forgotten")
	}
}

// A collector that starts in the middle of a flood knows at once who is large: in its first second, before there is a
// census, and in those behind it, before there is a mean of earlier ones.
func TestLargeFromTheStart(t *testing.T) {
	router := netip.MustParseAddr("192.0.2.1")
	flood := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}) }
	saved := []Tenure{{Source: router, Seconds: 3600}}
	const sources = 100
	for i := range sources {
		saved = append(saved, Tenure{Source: flood(i), Seconds: 400})
	}
	s := NewShare()
	s.Restore(saved)
	for second := range 10 {
		s.begin(time.Duration(second)*time.Second, 0)
		if s.Large(router) {
			t.Errorf("the router is large in second %d", second)
		}
		s.Charge(router, 20*time.Microsecond, 1400, 30)
		for i := range sources {
			if !s.Large(flood(i)) {
				t.Fatalf("%v is not large in second %d", flood(i), second)
			}
			s.Charge(flood(i), 10*time.Microsecond, 1400, 30)
		}
	}
}

// Many forged sources, each of which takes less than a router, do not make the router large: neither those that come
// once nor those that come again and again.
func TestLargeAmongForgedSources(t *testing.T) {
	for name, sources := range map[string]int{"a thousand": 1000, "a hundred thousand": 100_000} {
		t.Run(name, func(t *testing.T) {
			const begins = 270 // the flood
			s, n := NewShare(), 0
			router := netip.MustParseAddr("192.0.2.1")
			for second := range 300 {
				s.begin(time.Duration(second)*time.Second, 0)
				for range 20 {
					s.Charge(router, 20*time.Microsecond, 1400, 10)
				}
				for range 5000 * min(1, second/begins) {
					n++
					of := n % sources
					from := netip.AddrFrom4([4]byte{10, byte(of >> 16), byte(of >> 8), byte(of)})
					s.Charge(from, 20*time.Microsecond, 1400, 10)
					if !s.Large(from) {
						t.Fatalf("%v is not large", from)
					}
				}
				if second > knownTenure && s.Large(router) {
					t.Fatalf("the router is large in second %d", second)
				}
			}
		})
	}
}

func TestLargeAllocatesNothing(t *testing.T) {
	s := NewShare()
	charge(s, 10, heard{"192.0.2.1", 0, 9, time.Millisecond})
	second := 10
	if n := testing.AllocsPerRun(20, func() {
		second++
		s.begin(time.Duration(second)*time.Second, 0)
		s.Large(netip.MustParseAddr("192.0.2.1"))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
