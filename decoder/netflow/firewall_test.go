package netflow

import (
	"slices"
	"testing"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// A Cisco ASA counts a connection in its updates, and all of it again when it ends.
func TestCase76_ConnectionsOfFirewalls(t *testing.T) {
	const deleted, updated = connectionDeleted, connectionUpdated
	type report struct {
		event     uint8
		second    int64 // of the event
		bytes     [2]uint64
		want      [2]uint64 // bytes of both directions
		width     int
		template  uint16 // 0: 256
		otherPort bool   // another connection
	}
	for _, test := range []struct {
		name    string
		reports []report
	}{
		{"updates and the end", []report{
			{event: updated, second: 60, bytes: [2]uint64{2557, 1117}, want: [2]uint64{2557, 1117}},
			{event: updated, second: 120, bytes: [2]uint64{31, 0}, want: [2]uint64{31, 0}},
			{event: updated, second: 130, bytes: [2]uint64{5, 7}, want: [2]uint64{5, 7}},
			{event: deleted, second: 130, bytes: [2]uint64{2593, 1124}},
		}},
		{"an update was lost", []report{
			{event: updated, second: 60, bytes: [2]uint64{100, 10}, want: [2]uint64{100, 10}},
			{event: deleted, second: 130, bytes: [2]uint64{350, 40}, want: [2]uint64{250, 30}},
		}},
		{"a short one", []report{
			{event: deleted, second: 10, bytes: [2]uint64{350, 40}, want: [2]uint64{350, 40}},
		}},
		{"the last update behind the end", []report{
			{event: updated, second: 60, bytes: [2]uint64{100, 10}, want: [2]uint64{100, 10}},
			{event: deleted, second: 130, bytes: [2]uint64{350, 40}, want: [2]uint64{250, 30}},
			{event: updated, second: 130, bytes: [2]uint64{250, 30}},
		}},
		{"the end twice", []report{
			{event: updated, second: 60, bytes: [2]uint64{100, 10}, want: [2]uint64{100, 10}},
			{event: deleted, second: 130, bytes: [2]uint64{350, 40}, want: [2]uint64{250, 30}},
			{event: deleted, second: 130, bytes: [2]uint64{350, 40}},
		}},
		{"two connections between the same ends", []report{
			{event: updated, second: 60, bytes: [2]uint64{100, 10}, want: [2]uint64{100, 10}},
			{event: deleted, second: 70, bytes: [2]uint64{120, 15}, want: [2]uint64{20, 5}},
			{event: updated, second: 140, bytes: [2]uint64{70, 7}, want: [2]uint64{70, 7}},
			{event: deleted, second: 150, bytes: [2]uint64{90, 9}, want: [2]uint64{20, 2}},
		}},
		{"a short one between the same ends", []report{
			{event: updated, second: 60, bytes: [2]uint64{100, 10}, want: [2]uint64{100, 10}},
			{event: deleted, second: 70, bytes: [2]uint64{120, 15}, want: [2]uint64{20, 5}},
			{event: deleted, second: 75, bytes: [2]uint64{30, 3}, want: [2]uint64{30, 3}},
		}},
		{"another connection", []report{
			{event: updated, second: 60, bytes: [2]uint64{100, 10}, want: [2]uint64{100, 10}},
			{event: deleted, second: 130, bytes: [2]uint64{350, 40}, want: [2]uint64{350, 40}, otherPort: true},
		}},
		{"an end that is no total", []report{
			{event: updated, second: 60, bytes: [2]uint64{100, 10}, want: [2]uint64{100, 10}},
			{event: deleted, second: 130, bytes: [2]uint64{35, 4}, want: [2]uint64{35, 4}},
		}},
		{"another template at the end", []report{
			{event: updated, second: 60, bytes: [2]uint64{100, 10}, want: [2]uint64{100, 10}},
			{event: deleted, second: 130, bytes: [2]uint64{350, 40}, want: [2]uint64{250, 30}, template: 300},
		}},
		{"a total of 32 bits that wrapped", []report{
			{event: updated, second: 60, bytes: [2]uint64{4e9, 10}, want: [2]uint64{4e9, 10}, width: 4},
			{event: updated, second: 120, bytes: [2]uint64{4e9, 10}, want: [2]uint64{4e9, 10}, width: 4},
			{event: deleted, second: 130, bytes: [2]uint64{8_000_000_005 % (1 << 32), 30}, want: [2]uint64{5, 10},
				width: 4},
		}},
		{"other events", []report{
			{event: 1, second: 1, bytes: [2]uint64{100, 10}, want: [2]uint64{100, 10}},
			{event: 3, second: 2, bytes: [2]uint64{350, 40}, want: [2]uint64{350, 40}},
		}},
	} {
		for _, p := range both {
			t.Run(p.String()+" "+test.name, func(t *testing.T) {
				l := newLab(t, Options{})
				for n, one := range test.reports {
					port := uint16(51000)
					if one.otherPort {
						port++
					}
					at := exportMs - 300_000 + one.second*1000
					items := []item{el(8, ip("10.0.0.5")), el(12, ip("198.51.100.20")), el(7, u16(port)),
						el(11, u16(443)), el(4, u8(6)), el(10, u16(3)), el(14, u16(4)), el(233, u8(one.event)),
						el(323, u64(uint64(at))), el(152, u64(uint64(at-10_000*int64(n+1)))),
						el(231, width(one.bytes[0], max(one.width, 4))),
						el(232, width(one.bytes[1], max(one.width, 4)))}
					id := max(one.template, 256)
					head := header{exportS: exportS, uptime: testUptime, sequence: uint32(n)}
					data := []([]byte){set(setTemplateIPFIX, templateOf(id, items...)), set(id, dataOf(items...))}
					message := ipfix(head, data...)
					if p == flow.NetFlowV9 {
						data[0] = set(setTemplateV9, templateOf(id, items...))
						message = v9(head, data...)
					}
					got := [2]uint64{}
					for _, r := range l.send(message) {
						equal(t, "event", r.FirewallEvent, one.event)
						if r.SrcAddr == ip128("10.0.0.5") {
							got[0] += r.Bytes
						} else {
							got[1] += r.Bytes
						}
					}
					equal(t, "bytes of "+test.name, got, one.want)
				}
			})
		}
	}
	t.Run("noted", func(t *testing.T) {
		l := newLab(t, Options{})
		for n, event := range []uint8{updated, deleted} {
			l.one(flow.IPFIX, el(8, ip("10.0.0.5")), el(233, u8(event)), el(323, u64(uint64(exportMs+n))),
				el(231, u32(100)), el(232, u32(0)))
		}
		equal(t, "noted", l.stream(flow.IPFIX, 0).TimesRead(exporter.TotalsRepeated), 1)
	})
}

// Connections are remembered within the memory of totals, and only those that had an update.
func TestCase76_ConnectionsAreBounded(t *testing.T) {
	l := newLab(t, Options{TotalsBytes: 100 * flowBytes})
	items := func(event uint8, n uint32) []item {
		return []item{el(8, u32(n)), el(233, u8(event)), el(231, u32(100)), el(232, u32(0))}
	}
	for n := range uint32(300) {
		l.one(flow.IPFIX, items(connectionDeleted, n)...)
	}
	if l.d.totals != nil {
		equal(t, "short connections", len(l.d.totals.of(ip128("192.0.2.1")).flows), 0)
	}
	for n := range uint32(300) {
		l.received++
		l.one(flow.IPFIX, items(connectionUpdated, n)...)
	}
	if n := len(l.d.totals.of(ip128("192.0.2.1")).flows); n > 100 {
		t.Errorf("%d connections are remembered", n)
	}
	equal(t, "the latest one", l.one(flow.IPFIX, items(connectionDeleted, 299)...).Bytes, 0)
	if !slices.Contains([]uint64{0, 100}, l.one(flow.IPFIX, items(connectionDeleted, 0)...).Bytes) {
		t.Error("the first one has another count")
	}
}
