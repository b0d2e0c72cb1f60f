package netflow

import (
	"slices"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

func dataSet(id uint16, n int) []byte { return set(id, slices.Repeat(dataOf(v4Flow()...), n)) }

func TestHoldUntilTheTemplateComes(t *testing.T) {
	l := newLab(t, Options{})
	l.send(v9(ipfixHeader, dataSet(256, 2), dataSet(257, 3)))
	l.send(v9(ipfixHeader, dataSet(256, 4)))
	s := l.stream(flow.NetFlowV9, 0)
	equal(t, "held", s.Held.Load(), 3)
	equal(t, "missing templates", len(s.Missing()), 2)
	equal(t, "records with the template",
		len(l.send(v9(ipfixHeader, set(0, templateOf(256, v4Flow()...)), dataSet(256, 1)))), 7)
	equal(t, "recovered", s.Recovered.Load(), 2)
	equal(t, "missing template", s.Missing()[0].TemplateID, 257)
	equal(t, "records with the other", len(l.send(v9(ipfixHeader, set(0, templateOf(257, v4Flow()...))))), 3)
	equal(t, "missing templates", len(s.Missing()), 0)
	equal(t, "bytes held", l.heldBytes(), 0)
	equal(t, "records counted", s.Records.Load(), 10)
	l.wait(time.Second)
	equal(t, "templates known", s.Known.Load(), 2)
	l.failed(s, nil)
}

func (l *lab) heldBytes() (n int) {
	for _, src := range l.d.sources {
		n += src.has.held.Used()
	}
	return n
}

func TestHeldDataExpires(t *testing.T) {
	l := newLab(t, Options{HoldFor: 30 * time.Second})
	l.send(v9(ipfixHeader, dataSet(256, 1), dataSet(257, 1)))
	l.wait(20 * time.Second)
	l.send(v9(ipfixHeader, dataSet(256, 1)))
	l.wait(9 * time.Second)
	s := l.stream(flow.NetFlowV9, 0)
	l.failed(s, nil)
	l.wait(2 * time.Second)
	l.failed(s, map[exporter.Reason]uint64{exporter.NoTemplate: 2})
	equal(t, "records", len(l.send(v9(ipfixHeader, set(0, templateOf(256, v4Flow()...))))), 1)
	equal(t, "bytes held", l.heldBytes(), 0)
	equal(t, "missing", s.Missing()[0].TemplateID, 257)
	equal(t, "sets of the missing", s.Missing()[0].Sets.Load(), 1)
}

func TestHeldDataGivenUp(t *testing.T) {
	l := newLab(t, Options{})
	l.send(v9(ipfixHeader, dataSet(256, 1), dataSet(257, 1)))
	l.d.Discard()
	l.failed(l.stream(flow.NetFlowV9, 0), map[exporter.Reason]uint64{exporter.NoTemplate: 2})
	equal(t, "bytes held", l.heldBytes(), 0)
	l.d.Discard()
	l.failed(l.stream(flow.NetFlowV9, 0), map[exporter.Reason]uint64{exporter.NoTemplate: 2})
}

func TestHeldDataIsBounded(t *testing.T) {
	t.Run("bytes of an exporter, over its domains", func(t *testing.T) {
		const limit = 10_000
		l := newLab(t, Options{HoldBytes: limit})
		var held uint64
		for domain := range uint32(4) {
			for range 100 {
				l.send(ipfix(header{exportS: exportS, domain: domain}, dataSet(256, 10)))
			}
			held += l.stream(flow.IPFIX, domain).Held.Load()
			equal(t, "held and refused", l.stream(flow.IPFIX, domain).Held.Load()+
				l.stream(flow.IPFIX, domain).Failed(exporter.HoldFull), 100)
		}
		if held == 0 || l.heldBytes() > limit {
			t.Errorf("%d sets, %d bytes held, want up to %d bytes", held, l.heldBytes(), limit)
		}
	})
	t.Run("sets without a body cost too", func(t *testing.T) {
		l := newLab(t, Options{HoldBytes: 10_000})
		for range 100 {
			l.send(ipfix(ipfixHeader, slices.Repeat(set(256), 100)))
		}
		if n := l.stream(flow.IPFIX, 0).Held.Load(); n > 100 {
			t.Errorf("%d empty sets held", n)
		}
	})
	t.Run("not at all", func(t *testing.T) {
		l := newLab(t, Options{HoldFor: -1})
		l.send(ipfix(ipfixHeader, dataSet(256, 1)))
		l.failed(l.stream(flow.IPFIX, 0), map[exporter.Reason]uint64{exporter.NoTemplate: 1})
		equal(t, "bytes held", l.heldBytes(), 0)
	})
	t.Run("ids that are missing", func(t *testing.T) {
		l := newLab(t, Options{})
		for id := range uint16(200) {
			l.send(ipfix(ipfixHeader, dataSet(256+id, 1)))
		}
		equal(t, "missing templates", len(l.stream(flow.IPFIX, 0).Missing()), maxMissing)
		// Those beyond are held all the same.
		equal(t, "records", len(l.send(ipfix(ipfixHeader, set(2, templateOf(455, v4Flow()...))))), 1)
	})
}

// What a stream held must not stay on its exporter's account when the stream is evicted.
func TestHeldDataOfAnEvictedStream(t *testing.T) {
	for _, how := range []string{"noticed by Tick", "noticed by its next datagram"} {
		t.Run(how, func(t *testing.T) {
			l := newLab(t, Options{})
			for domain := range uint32(40) { // the table has room for 16
				l.send(ipfix(header{exportS: exportS, domain: domain}, dataSet(256, 1)))
				l.received++
			}
			if how == "noticed by Tick" {
				l.wait(0)
			} else {
				for domain := range uint32(40) {
					l.send(ipfix(header{exportS: exportS, domain: domain}))
					l.received++
				}
				l.wait(0)
			}
			held := 0
			for _, src := range l.d.sources {
				for _, s := range src.sessions {
					for _, waiting := range s.held {
						for i := range waiting {
							held += waiting[i].size()
						}
					}
				}
			}
			equal(t, "bytes on the account", l.heldBytes(), held)
		})
	}
}

func TestTemplatesAreBounded(t *testing.T) {
	t.Run("of a domain", func(t *testing.T) {
		l := newLab(t, Options{MaxTemplates: 10, HoldFor: -1})
		for id := range uint16(12) {
			l.send(ipfix(ipfixHeader, set(2, templateOf(256+id, v4Flow()...)), dataSet(256+id, 1)))
		}
		l.failed(l.stream(flow.IPFIX, 0), map[exporter.Reason]uint64{exporter.TemplateLimit: 2, exporter.NoTemplate: 2})
		// Those that are known can still change, and another domain has its own share.
		equal(t, "bytes", l.send(ipfix(ipfixHeader, set(2, templateOf(256, el(1, u8(9)))), set(256, u8(9))))[0].Bytes,
			9)
		equal(t, "records of another domain", len(l.send(ipfix(header{exportS: exportS, domain: 1},
			set(2, templateOf(256, v4Flow()...)), dataSet(256, 1)))), 1)
	})
	t.Run("fields of one", func(t *testing.T) {
		l := newLab(t, Options{HoldFor: -1})
		l.send(ipfix(ipfixHeader, set(2, templateOf(256, slices.Repeat([]item{el(1, u8(1))}, maxFields)...)),
			set(2, templateOf(257, slices.Repeat([]item{el(1, u8(1))}, maxFields+1)...))))
		l.failed(l.stream(flow.IPFIX, 0), map[exporter.Reason]uint64{exporter.TemplateLimit: 1})
	})
	t.Run("source ports whose templates are kept apart", func(t *testing.T) {
		l := newLab(t, Options{})
		for port := range uint16(500) {
			l.source = addrPort("192.0.2.1:4000")
			l.source = netipPort(l.source, 1000+port)
			l.send(ipfix(ipfixHeader,
				set(2, templateOf(256, el(1, width(0, int(port%7)+1)), el(10+4*(port%2), u32(1))))))
		}
		for _, src := range l.d.sources {
			for _, s := range src.sessions {
				equal(t, "ports", len(s.byPort), maxPorts)
			}
		}
	})
}

func TestDump(t *testing.T) {
	l := newLab(t, Options{})
	l.learn(flow.NetFlowV9, el(1, u32(0)), el(48, u8(3)), el(50, u32(100)))
	l.learn(flow.NetFlowV9, el(2, u32(7)), el(82, text("Gi0/7")))
	l.one(flow.IPFIX, variable(82, text("x")), vendor(9, 1, u8(1)), el(8, ip("192.0.2.1")))
	domains := l.d.Dump()
	if len(domains) != 2 {
		t.Fatalf("%d domains, want 2", len(domains))
	}
	v9, ipfix := domains[0], domains[1]
	equal(t, "rate of the sampler", v9.Rates[0], ScopedRate{"sampler 3", 100})
	equal(t, "interfaces", v9.Interfaces, 1)
	equal(t, "options", v9.Templates[0].Options, true)
	equal(t, "scope", v9.Templates[0].Fields[0], TemplateField{Name: "scope 2", Length: 4, Scope: true})
	equal(t, "template", ipfix.Templates[0].ID, 256)
	equal(t, "variable", ipfix.Templates[0].Variable, true)
	want := []TemplateField{{Name: "82", IANA: 82, Length: -1}, {Name: "9/1", Length: 1},
		{Name: "8", IANA: 8, Length: 4, Used: true}}
	if !slices.Equal(ipfix.Templates[0].Fields, want) {
		t.Errorf("fields are %v, want %v", ipfix.Templates[0].Fields, want)
	}
}
