package block

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/enrich/rib"
	"github.com/metranova/flow-collector/sink/block/blocktest"
)

// bringing appends rows with communities to the blocks of one worker.
type bringing struct {
	*Block
	row       enrich.Row
	record    flow.Record
	maxRows   int
	different int // communities in the present block and those before
	leftOut   map[flow.Addr]int
}

func newBringing(maxRows int) *bringing {
	b := &bringing{
		Block: New(Layout{Extensions: []string{"bgp", "bgp_src", "mpls"}, Texts: &Texts{}}),
		row:   blocktest.EmptyRow(), maxRows: maxRows, leftOut: map[flow.Addr]int{},
	}
	b.row.Flow = &b.record
	b.record.Received = int64(time.Hour)
	return b
}

// add appends a row of a source, after a while.
func (b *bringing) add(source int, after time.Duration, communities ...uint32) (whole bool) {
	b.record.Source = flow.AddrFrom4([4]byte{10, byte(source >> 16), byte(source >> 8), byte(source)})
	b.record.Received += int64(after)
	b.record.Communities = communities
	b.record.Set(flow.Communities)
	if whole = b.Append(&b.row); !whole {
		b.leftOut[b.record.Source]++
	}
	if b.Rows() == b.maxRows || b.Full() {
		b.empty()
	}
	return whole
}

func (b *bringing) empty() {
	b.different += b.ext.bgpCommunity.keys.n
	b.Reset()
}

// random are n communities that nobody else has.
func random(n int) []uint32 {
	list := make([]uint32, n)
	for i := range list {
		list[i] = rand.Uint32()
	}
	return list
}

const router, attacker = 1, 1000

// ofRouter are the communities of the nth row of a router: 50,000 rows have 50,000 of 60,000 different ones, a thousand
// rows 4,500.
func ofRouter(n int) []uint32 {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	list := make([]uint32, 10)
	for i := range list {
		list[i] = uint32(60_000 * math.Pow(rng.Float64(), 8))
	}
	return list
}

// A flood of communities is bounded in each second, whatever the length of blocks, and a router beside it that is known
// loses none.
func TestTexts(t *testing.T) {
	const seconds, base, perRow = 20, 2*halfOfNone + 1000, 2
	for _, test := range []struct {
		name    string
		maxRows int
		flood   func(b *bringing, n int) // the nth row of a second
		rows    int                      // of the flood in a second
		early   bool                     // it goes on when the collector starts
	}{
		{"no flood", 50_000, nil, 0, false},
		{"one source", 50_000, func(b *bringing, n int) { b.add(attacker, 0, random(50)...) }, 5000, false},
		{"one source, as early as the router", 50_000, func(b *bringing, n int) {
			b.add(attacker, 0, random(50)...)
		}, 5000, true},
		{"sources as early as the router", 50_000, func(b *bringing, n int) {
			b.add(attacker+n%9, 0, random(50)...)
		}, 5000, true},
		{"one source, short blocks", 100, func(b *bringing, n int) { b.add(attacker, 0, random(50)...) }, 5000, false},
		{"one source, many rows", 50_000, func(b *bringing, n int) { b.add(attacker, 0, random(10)...) }, 100_000,
			false},
		{"a source for each row", 50_000, func(b *bringing, n int) {
			b.add(attacker+rand.IntN(1<<22), 0, random(50)...)
		}, 5000, false},
		{"sources that come again", 50_000, func(b *bringing, n int) { b.add(attacker+n%40, 0, random(50)...) }, 5000,
			false},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBringing(test.maxRows)
			n := 0
			pass := func(seconds int, flooded bool) {
				for range seconds * 200 {
					if flooded {
						for k := range test.rows / 200 {
							test.flood(b, k)
						}
					}
					b.add(router, time.Second/200, ofRouter(n)...)
					n++
				}
			}
			pass(5, test.early)
			b.empty()
			before := b.different
			b.different = 0
			clear(b.leftOut) // until the router is known
			pass(seconds, test.flood != nil)
			b.empty()
			rows := test.rows + 200
			most := (rows/periodRows+1)*base + perRow*rows
			if b.different > (seconds+1)*most || before == 0 {
				t.Errorf("%d different communities a second, want at most %d", b.different/seconds, most)
			}
			if lost := b.leftOut[b.record.Source]; lost > 0 {
				t.Errorf("%d of %d rows of the router lack communities", lost, n)
			}
			if (len(b.leftOut) > 0) != (test.flood != nil) {
				t.Errorf("rows of %d sources lack communities", len(b.leftOut))
			}
			if x := b.ext.texts; len(x.known) > maxBringers || len(x.fresh) > maxFresh || len(x.earlier) > maxFresh {
				t.Errorf("%d, %d and %d sources are remembered", len(x.known), len(x.fresh), len(x.earlier))
			}
		})
	}
}

// A router that was heard for long in the last run loses no text in a flood that goes on when the collector starts,
// from the first row on, even if the flood takes all places of known exporters first.
func TestTexts_settled(t *testing.T) {
	for _, sources := range []int{1, 40, 1000} {
		t.Run(fmt.Sprint(sources), func(t *testing.T) {
			b := newBringing(50_000)
			settled := flow.AddrFrom4([4]byte{10, 0, 0, router})
			b.ext.texts.Settled = func(source flow.Addr) bool { return source == settled }
			for n := range 5000 {
				for k := range 25 {
					b.add(attacker+(n+k)%sources, 0, random(50)...)
				}
				b.add(router, time.Second/200, ofRouter(n)...)
			}
			if lost := b.leftOut[settled]; lost > 0 || len(b.leftOut) == 0 {
				t.Errorf("%d rows of the router lack communities, and those of %d sources", lost, len(b.leftOut))
			}
			// All places are taken, by sources that come again, before the router is heard for long.
			b.ext.texts.Settled = nil
			for n := range 5000 {
				b.add(attacker+n%(2*maxBringers), time.Minute/5, random(1)...)
			}
			b.ext.texts.Settled = func(source flow.Addr) bool { return source == settled }
			b.record.Received += int64(time.Second)
			b.add(attacker, 0, random(1)...)
			if b.add(router, 0, ofRouter(0)...); b.ext.texts.known[settled] == nil {
				t.Errorf("the router has none of the %d places", len(b.ext.texts.known))
			}
		})
	}
}

// Routers that make as many rows as a worker can take lose nothing.
func TestTexts_busyRouters(t *testing.T) {
	for _, routers := range []int{1, 10, 200} {
		t.Run(fmt.Sprint(routers), func(t *testing.T) {
			b := newBringing(50_000)
			for n := range 500_000 {
				b.add(router+n%routers, time.Microsecond, ofRouter(n)...)
			}
			if len(b.leftOut) > 0 {
				t.Errorf("rows of %d sources lack communities", len(b.leftOut))
			}
		})
	}
}

// A row has all its communities or none, and everything else; what a table of routes says does not count.
func TestTexts_rows(t *testing.T) {
	b := newBringing(1 << 20)
	for b.add(attacker, 0, random(30)...) {
	}
	known := b.record.Communities[:1]
	for range 3 {
		b.add(attacker, 0, append(random(1), known...)...)
	}
	if n := b.leftOut[b.record.Source]; n != 4 {
		t.Fatalf("%d rows lack communities, want 4", n)
	}
	first := b.ext.bgpCommunity.keys.n
	b.row.PathRoute = &rib.Route{}
	if !b.add(attacker, 0, random(30)...) || b.ext.bgpCommunity.keys.n != first+30 {
		t.Error("communities of a table of routes are left out")
	}
	b.row.PathRoute = nil
	b.row.Route.HasSrc, b.row.Route.SrcCommunities = true, random(5)
	if b.add(attacker, 0, random(1)...) || b.ext.bgpSrcCommunity.offsets.n != 5 {
		t.Error("the communities of the route to the source are left out")
	}
	b.row.Route.HasSrc = false
	b.row.MPLSRD = "0:64500:7"
	b.record.Has &^= flow.Communities
	if b.Append(&b.row) {
		t.Error("a row has a route distinguisher beyond the bound")
	}
	b.record.Received += int64(time.Second)
	for range 2 {
		if !b.Append(&b.row) {
			t.Error("a second later the route distinguisher is left out too")
		}
	}
	ends := b.ext.bgpCommunity.offsets.ends
	for i, end := range ends {
		if n := int(end - ends[max(i-1, 0)]); i > 0 && n != 30 && n != 0 {
			t.Errorf("row %d has %d communities", i, n)
		}
	}
	rds := b.ext.mplsVPNRD.indexes
	if last := rds[len(rds)-3:]; !slices.Equal(last, []uint32{0, 1, 1}) || b.ext.mplsVPNRD.keys.n != 2 {
		t.Errorf("the last rows have the distinguishers %d", last)
	}
}

// Known exporters cost no memory.
func TestTexts_allocations(t *testing.T) {
	b := newBringing(1000)
	list := make([]uint32, 10)
	second := func() {
		for n := range 2000 {
			for i := range list {
				list[i] = uint32(n*10 + i)
			}
			b.add(router+n%20, time.Second/2000, list...)
		}
	}
	for range 5 {
		second()
	}
	if n := testing.AllocsPerRun(5, second); n > 0 {
		t.Errorf("%.0f allocations a second", n)
	}
}
