package netflow

import (
	"net/netip"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// An exporter that restarted sends from another port. Hours later the port before is no exporter beside it any more.
func TestTemplateConflict_aPortThatChangedIsNone(t *testing.T) {
	l := newLab(t, Options{})
	define := func(port uint16, items ...item) {
		l.source = netip.AddrPortFrom(l.source.Addr(), port)
		l.send(ipfix(header{exportS: exportS}, set(2, templateOf(300, items...))))
		l.wait(20 * time.Minute)
	}
	define(4000, v4Flow()...)
	for range 6 { // two hours from another port
		define(5000, v4Flow()...)
	}
	define(5000, append(v4Flow(), el(58, u16(7)))...)
	s := l.stream(flow.IPFIX, 0)
	if n := s.Failed(exporter.TemplateConflict); n != 0 {
		t.Errorf("%d conflicts with a port that was silent for two hours", n)
	}
	define(6000, v4Flow()...)
	if n := s.Failed(exporter.TemplateConflict); n != 1 {
		t.Errorf("%d conflicts of two ports side by side, want 1", n)
	}
}

// A message whose end was cut off is marked so wherever the cut is: how many records are missing is not known, so its
// successor's sequence number is no loss.
func TestTruncatedMessage_cutBetweenSets(t *testing.T) {
	l := newLab(t, Options{})
	data := dataSet(300, 2)
	l.send(ipfix(header{exportS: exportS}, set(2, templateOf(300, v4Flow()...)), data))
	whole := ipfix(header{exportS: exportS, sequence: 2}, data, data)
	equal(t, "records", len(l.send(whole[:len(whole)-len(data)])), 2)
	l.send(ipfix(header{exportS: exportS, sequence: 6}, data))
	s := l.stream(flow.IPFIX, 0)
	equal(t, "truncated", s.Failed(exporter.Truncated), 1)
	equal(t, "lost by sequence number", s.Lost.Load(), 0)
	equal(t, "restarts", s.Restarts.Load(), 0)
}

// Whoever forges the address of a router, but not its port, cannot have the router's data read by other definitions.
func TestTemplateConflict_forgedDefinitions(t *testing.T) {
	other := []item{el(8, u32(1)), el(12, u32(2)), el(1, u32(9)), el(2, u32(9)), el(7, u16(1)), el(11, u16(2)),
		el(4, u8(17))}
	for name, forge := range map[string]func(define func(port uint16, items ...item)){
		"another definition": func(define func(uint16, ...item)) { define(4001, other...) },
		"the same, then another": func(define func(uint16, ...item)) {
			define(4001, v4Flow()...)
			define(4001, other...)
		},
		"from a thousand ports": func(define func(uint16, ...item)) {
			for port := range uint16(1000) {
				define(5000+port, append(other, el(58, u16(port)))...)
			}
		},
		"one after the other": func(define func(uint16, ...item)) {
			for n := range 100 {
				define(4001, append(other, el(58+uint16(n%2), u16(uint16(n))))...)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, Options{})
			from := func(port uint16) { l.source = netip.AddrPortFrom(l.source.Addr(), port) }
			sequence := uint32(0)
			data := func(when string) {
				t.Helper()
				from(4000)
				got := l.send(ipfix(header{exportS: exportS, sequence: sequence}, dataSet(300, 2)))
				sequence += 2
				if len(got) != 2 || !got[0].Sent(flow.SrcAddr) {
					t.Fatalf("%s: %d records", when, len(got))
				}
				for _, r := range got {
					if want := dataRecord(t); r.SrcAddr != want.SrcAddr || r.Bytes != want.Bytes ||
						r.Packets != want.Packets {
						t.Fatalf("%s: %v -> %v, %d bytes", when, r.SrcAddr, r.DstAddr, r.Bytes)
					}
				}
			}
			from(4000)
			l.send(ipfix(header{exportS: exportS}, set(2, templateOf(300, v4Flow()...))))
			data("before")
			for round := range 5 { // hours in which the router sends no template
				l.wait(10 * time.Minute)
				data("between")
				forge(func(port uint16, items ...item) {
					from(port)
					l.send(ipfix(header{exportS: exportS}, set(2, templateOf(300, items...))))
				})
				data("after round " + string(rune('1'+round)))
			}
		})
	}
}

// dataRecord is a record of dataSet as an exporter alone has it.
func dataRecord(t *testing.T) flow.Record {
	t.Helper()
	l := newLab(t, Options{})
	return l.send(ipfix(header{exportS: exportS}, set(2, templateOf(300, v4Flow()...)), dataSet(300, 1)))[0]
}
