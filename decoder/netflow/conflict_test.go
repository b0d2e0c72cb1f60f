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

// A message whose end was cut off is marked so wherever the cut is: how many records are missing is not known, so its successor's
// sequence number is no loss.
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
