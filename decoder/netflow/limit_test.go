package netflow

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"
	"weak"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// crowd is a lab of many sources.
type crowd struct {
	*lab
}

func newCrowd(t testing.TB, o Options, streams int) crowd {
	l := newLab(t, o)
	l.table = exporter.NewTable(streams)
	l.d = New(l.table, o)
	return crowd{l}
}

// from makes the n-th source the one that sends next.
func (c crowd) from(n int) crowd {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], 10<<24+uint32(n))
	c.source = netip.AddrPortFrom(netip.AddrFrom4(a), 4000)
	return c
}

// used checks that the decoder's accounts are those of what it has, and within their bounds.
func (c crowd) used() {
	c.t.Helper()
	checkMemory(c.t, c.d)
}

// checkMemory checks that the accounts of a decoder are those of what it holds, and that they keep their bounds.
func checkMemory(t testing.TB, d *Decoder) {
	t.Helper()
	var templates, names, held int
	for _, src := range d.sources {
		templatesOf, namesOf, heldOf := 0, 0, 0
		for _, p := range src.parked {
			templatesOf += p.charged
			if p.charged != parkedBytes+p.templates.bytes+p.sampling.bytes() {
				t.Fatalf("%d bytes are charged for a parked domain", p.charged)
			}
		}
		for _, s := range src.sessions {
			if s.stream.Gone() {
				t.Fatal("the session of an evicted stream is kept")
			}
			templatesOf += s.charged
			bytes := 0
			for _, one := range s.byID {
				bytes += one.bytes()
			}
			for _, own := range s.byPort {
				for _, one := range own.byID {
					bytes += one.bytes()
				}
			}
			if bytes != s.templates.bytes {
				t.Fatalf("%d bytes of templates, %d are counted", bytes, s.templates.bytes)
			}
			for _, waiting := range s.held {
				for i := range waiting {
					heldOf += waiting[i].size()
				}
			}
		}
		if src.names != nil {
			for _, n := range src.names.Interface {
				namesOf += nameSize(len(n.Name) + len(n.Description))
			}
			for _, n := range src.names.VRF {
				namesOf += nameSize(len(n))
			}
			namesOf += len(src.names.RD) * nameSize(rdBytes)
			if namesOf > 0 {
				namesOf += nameTableBytes
			}
		}
		if a, b, c := src.has.templates.Used(), src.has.names.Used(), src.has.held.Used(); a != templatesOf ||
			b != namesOf || c != heldOf {
			t.Fatalf("accounts %d, %d, %d of templates, names, held data; there are %d, %d, %d", a, b, c, templatesOf,
				namesOf, heldOf)
		}
		templates, names, held = templates+templatesOf, names+namesOf, held+heldOf
	}
	if a, b, c := d.memory.templates.Used(), d.memory.names.Used(), d.memory.held.Used(); a != templates ||
		b != names || c != held {
		t.Fatalf("%d, %d, %d bytes are accounted, there are %d, %d, %d", a, b, c, templates, names, held)
	}
	if templates > d.o.TemplateBytes || names > d.o.NameBytes || held > d.o.HeldBytes {
		t.Fatalf("%d bytes of templates, %d of names, %d held: more than is allowed", templates, names, held)
	}
}

// good sends a template and data of a router, and returns how many records came.
func (c crowd) good(withTemplate bool) int {
	sets := [][]byte{set(setTemplateIPFIX, templateOf(300, v4Flow()...)), dataSet(300, 2)}
	if !withTemplate {
		sets = sets[1:]
	}
	return len(c.send(ipfix(header{exportS: exportS}, sets...)))
}

func TestMemory_aFloodCostsARouterNothing(t *testing.T) {
	o := Options{TemplateBytes: 1 << 20, NameBytes: 1 << 18, HeldBytes: 1 << 20, HoldBytes: 1 << 18, MaxTemplates: 64}
	filler := manyTemplates(60)
	named := []item{el(10, u32(7)), el(82, text("a name of an interface"))}
	for name, flood := range map[string]func(c crowd, i int){
		"headers of many sources": func(c crowd, i int) { c.from(i).send(ipfix(header{exportS: exportS})) },
		"headers of many domains": func(c crowd,
			i int) {
			c.from(1).send(ipfix(header{exportS: exportS, domain: uint32(i)}))
		},
		"templates of many sources": func(c crowd,
			i int) {
			c.from(i).send(ipfix(header{exportS: exportS}, set(2, filler)))
		},
		"templates of many domains": func(c crowd, i int) {
			c.from(1).send(ipfix(header{exportS: exportS, domain: uint32(i)}, set(2, filler)))
		},
		"templates and data of sources": func(c crowd, i int) { c.from(i).good(true) },
		"held data of many sources": func(c crowd,
			i int) {
			c.from(i).send(ipfix(header{exportS: exportS}, dataSet(999, 900)))
		},
		"held data of many domains": func(c crowd, i int) {
			c.from(1).send(ipfix(header{exportS: exportS, domain: uint32(i)}, dataSet(999, 900)))
		},
		"names of one source": func(c crowd, i int) {
			named[0] = el(10, u32(uint32(i)))
			c.from(1).send(ipfix(header{exportS: exportS}, set(3, optionsIPFIX(400, 1, named...)),
				set(400, dataOf(named...))))
		},
		"names of many sources": func(c crowd, i int) {
			named[0] = el(10, u32(uint32(i)))
			c.from(i).send(ipfix(header{exportS: exportS}, set(3, optionsIPFIX(400, 1, named...)),
				set(400, dataOf(named...))))
		},
		"samplers of many domains": func(c crowd, i int) {
			rate := []item{el(302, u32(uint32(i))), el(34, u32(10))}
			c.from(i % 99).send(ipfix(header{exportS: exportS, domain: uint32(i % 7)},
				set(3, optionsIPFIX(400, 1, rate...)), set(400, dataOf(rate...))))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCrowd(t, o, 256)
			const router = 1 << 20
			for range 3 {
				if n := c.from(router).good(true); n != 2 {
					t.Fatalf("%d records of the router before the flood", n)
				}
				c.table.Age(c.received)
				c.wait(time.Second)
			}
			for i := range 5000 {
				c.received++
				flood(c, i)
				if i%500 == 0 {
					c.used()
				}
				if i%1000 == 0 {
					if n := c.from(router).good(false); n != 2 {
						t.Fatalf("%d records of the router within the flood", n)
					}
				}
			}
			c.wait(time.Second)
			c.used()
		})
	}
}

// A router whose stream was evicted goes on with the templates that it had.
func TestMemory_templatesOfAnEvictedStreamAreKept(t *testing.T) {
	c := newCrowd(t, Options{}, 16)
	c.from(1).good(true)
	c.table.Age(c.received)
	c.wait(time.Hour)
	for i := range 40 { // the table keeps 16
		c.received++
		c.from(1000 + i).good(true)
		c.table.Age(c.received)
	}
	if n := len(c.d.sources[flow.AddrFrom(c.from(1).source.Addr())].sessions); n != 0 {
		t.Fatal("the router's stream was not evicted")
	}
	if n := c.from(1).good(false); n != 2 {
		t.Errorf("%d records with the template of before, want 2", n)
	}
	if n := c.stream(flow.IPFIX, 0).Evictions.Load(); n == 0 {
		t.Error("the new stream does not know that the one before was evicted")
	}
	c.used()
}

// One source that fills the budget of templates does not keep others from having theirs.
func TestMemory_templatesAreTakenFromTheLargest(t *testing.T) {
	c := newCrowd(t, Options{TemplateBytes: 1 << 20}, 256)
	wide := slices.Repeat([]item{el(8, u8(1))}, 500)
	for i := range 3000 {
		c.from(1).send(ipfix(header{exportS: exportS, domain: uint32(i / 1000)},
			set(2, templateOf(uint16(256+i%1000), wide...))))
	}
	if n := c.from(2).good(true); n != 2 {
		t.Errorf("%d records of a router that came later", n)
	}
	if n := c.stream(flow.IPFIX, 0).Failed(exporter.TemplateLimit); n != 0 {
		t.Errorf("%d of its templates were refused", n)
	}
	evicted := uint64(0)
	for domain := range uint32(3) {
		s := c.from(1).stream(flow.IPFIX, domain)
		evicted += s.Failed(exporter.TemplateEvicted) + s.Failed(exporter.TemplateLimit)
	}
	if evicted == 0 {
		t.Error("nothing is counted at the source that filled the budget")
	}
	c.used()
}

// A source whose templates are all in use is not searched for unused ones with each template that it may not have: a
// datagram of 100 new ones took milliseconds.
func TestMemory_fullOfUsedTemplates(t *testing.T) {
	c := newCrowd(t, Options{TemplateBytes: 1 << 20}, 256).from(1)
	src := func() *source { return c.d.sources[flow.AddrFrom(c.source.Addr())] }
	for i := 0; i < 20_000 && (i == 0 || src().refusals == 0); i++ {
		c.send(ipfix(header{exportS: exportS, domain: uint32(i / 100)},
			set(setTemplateIPFIX, templateOf(uint16(300+i%100), v4Flow()...)), dataSet(uint16(300+i%100), 1)))
	}
	before := src().refusals
	if before < 500 {
		t.Fatalf("unused templates are looked for again after %d refusals", before)
	}
	var fresh []byte
	for id := range 100 {
		fresh = append(fresh, templateOf(uint16(1000+id), v4Flow()...)...)
	}
	c.send(ipfix(header{exportS: exportS}, set(setTemplateIPFIX, fresh)))
	if n := before - src().refusals; n != 100 {
		t.Errorf("%d of 100 templates were refused without a search", n)
	}
	if n := c.from(2).good(true); n != 2 {
		t.Errorf("%d records of a router that came later", n)
	}
	c.used()
}

// Streams that were evicted are read by others for a while, such as the page. That keeps no session in memory.
func TestEvictedStreamsKeepNoSession(t *testing.T) {
	c := newCrowd(t, Options{}, 64)
	var read []*exporter.Stream
	var sessions []weak.Pointer[session]
	for n := range 500 {
		c.from(n).send(v9(header{exportS: exportS}))
		c.table.Publish()
		for _, src := range c.d.sources {
			for _, s := range src.sessions {
				if s.source.addr == flow.AddrFrom(c.source.Addr()) {
					read, sessions = append(read, s.stream), append(sessions, weak.Make(s))
				}
			}
		}
	}
	if len(sessions) != 500 {
		t.Fatalf("%d sessions were made", len(sessions))
	}
	c.d.last = nil
	runtime.GC()
	kept := 0
	for _, s := range sessions {
		if s.Value() != nil {
			kept++
		}
	}
	if kept > 64 {
		t.Errorf("%d sessions are in memory, and there are 64 streams", kept)
	}
	runtime.KeepAlive(read)
}
