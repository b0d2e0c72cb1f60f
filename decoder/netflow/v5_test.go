package netflow

import (
	"math"
	"slices"
	"testing"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

type v5Header struct {
	count                int // -1: as many as there are
	uptime               uint32
	nanos                uint32
	sequence             uint32
	engineType, engineID uint8
	sampling             uint16
}

type v5Flow struct {
	first, last      uint32
	protocol         uint8
	dstPort          uint16
	srcAS, dstAS     uint16
	packets, bytes   uint32
	inIf, outIf      uint16
	flags            uint8
	srcMask, dstMask uint8
}

func v5(h v5Header, flows ...v5Flow) []byte {
	if h.count < 0 {
		h.count = len(flows)
	}
	b := slices.Concat(u16(5), u16(uint16(h.count)), u32(h.uptime), u32(exportS), u32(h.nanos), u32(h.sequence),
		u8(h.engineType), u8(h.engineID), u16(h.sampling))
	for _, f := range flows {
		b = slices.Concat(b, ip("198.51.100.1"), ip("203.0.113.9"), ip("192.0.2.254"), u16(f.inIf), u16(f.outIf),
			u32(f.packets), u32(f.bytes), u32(f.first), u32(f.last), u16(1234), u16(f.dstPort), u8(0), u8(f.flags),
			u8(f.protocol), u8(0xb8), u16(f.srcAS), u16(f.dstAS), u8(f.srcMask), u8(f.dstMask), u16(0))
	}
	return b
}

func TestCase01_v5LengthBeforeCount(t *testing.T) {
	tests := []struct {
		name    string
		count   int
		flows   int
		cut     int // bytes off the end
		records int
		reasons map[exporter.Reason]uint64
	}{
		{"as many as counted", 2, 2, 0, 2, nil},
		{"counts 65535", math.MaxUint16, 2, 0, 2, map[exporter.Reason]uint64{exporter.Truncated: 1}},
		{"counts fewer than there are", 1, 2, 0, 1, map[exporter.Reason]uint64{exporter.TrailingBytes: 1}},
		{"the last record is cut", 2, 2, 1, 1, map[exporter.Reason]uint64{exporter.Truncated: 1}},
		{"counts 0", 0, 0, 0, 0, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			p := v5(v5Header{count: test.count}, make([]v5Flow, test.flows)...)
			equal(t, "number of records", len(l.send(p[:len(p)-test.cut])), test.records)
			l.failed(l.stream(flow.NetFlowV5, 0), test.reasons)
		})
	}
	t.Run("a cut header names no stream", func(t *testing.T) {
		l := newLab(t, Options{})
		l.send(v5(v5Header{count: 0})[:23])
		equal(t, "unattributed", l.table.UnattributedCount(exporter.Truncated), 1)
	})
}

func TestCase01_v5AllFields(t *testing.T) {
	l := newLab(t, Options{})
	r := l.send(v5(v5Header{count: -1, uptime: 10_000, engineType: 2, engineID: 7}, v5Flow{
		first: 1000, last: 9000, protocol: 6, dstPort: 443, srcAS: 64500, dstAS: 64501, packets: 3, bytes: 1500,
		inIf: 11, outIf: 65535, flags: 0x1b, srcMask: 24, dstMask: 20,
	}))[0]
	equal(t, "source", r.SrcAddr, ip128("198.51.100.1"))
	equal(t, "destination", r.DstAddr, ip128("203.0.113.9"))
	equal(t, "next hop", r.NextHop, ip128("192.0.2.254"))
	equal(t, "ports", [2]uint16{r.SrcPort, r.DstPort}, [2]uint16{1234, 443})
	equal(t, "counters", [2]uint64{r.Packets, r.Bytes}, [2]uint64{3, 1500})
	equal(t, "interfaces", [2]uint32{r.InIf, r.OutIf}, [2]uint32{11, 65535})
	equal(t, "AS", [2]uint32{r.SrcAS, r.DstAS}, [2]uint32{64500, 64501})
	equal(t, "masks", [2]uint8{r.SrcMask, r.DstMask}, [2]uint8{24, 20})
	equal(t, "flags", r.TCPFlags, 0x1b)
	equal(t, "protocol", r.IPProtocol, 6)
	equal(t, "ToS", r.ToS, 0xb8)
	equal(t, "domain", r.Domain, 2<<8|7)
	equal(t, "IP version", r.IPVersion, 4)
	equal(t, "has", r.Has, fieldsV5|flow.Start|flow.End)
}

func TestCase02_v5TimesAcrossTheWrap(t *testing.T) {
	const max32 = math.MaxUint32
	tests := []struct {
		name                string
		uptime, first, last uint32
		nanos               uint32
		start, end          int64 // relative to the export second
	}{
		{"plain", 100_000, 40_000, 90_000, 0, -60_000, -10_000},
		{"nanoseconds of the header count", 100_000, 40_000, 90_000, 987_654_321, -60_000 + 987, -10_000 + 987},
		{"nanoseconds that are none", 100_000, 40_000, 90_000, 4_000_000_000, -60_000, -10_000},
		{"first before the wrap", 5_000, max32 - 4_999, 1_000, 0, -10_000, -4_000},
		{"both before the wrap", 5_000, max32 - 9_999, max32 - 4_999, 0, -15_000, -10_000},
		{"flow of 40 days", 3_500_000_000, 1_000, 3_500_000_000, 0, -3_499_999_000, 0},
		{"last a little after the header", 100_000, 40_000, 100_250, 0, -60_000, 250},
		{"last two hours after the header", 100_000_000, 99_999_000, 107_200_000, 0, -7_201_000, 0},
		{"both of another clock", 20_412_178, 621_761_700, 621_770_700, 0, -9_000, 0},
		{"both of another clock that is behind", 621_770_700, 20_403_178, 20_412_178, 0, -9_000, 0},
		{"last before first", 100_000, 90_000, 40_000, 0, -60_000, -10_000},
		{"last before first, both before the wrap", 5_000, max32 - 4_999, max32 - 9_999, 0, -15_000, -10_000},
		{"neither is filled in", 100_000, 0, 0, 0, 0, 0},
		{"first is 0 with the device's start", 100_000, 0, 90_000, 0, -100_000, -10_000},
		{"first is not filled in", 900_000_000, 0, 899_990_000, 0, -10_000, -10_000},
		{"last is not filled in", 100_000, 40_000, 0, 0, -60_000, -60_000},
		{"last after the header, across the wrap", max32 - 99, max32 - 999, 100, 0, -900, 200},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			r := l.send(v5(v5Header{count: -1, uptime: test.uptime, nanos: test.nanos},
				v5Flow{first: test.first, last: test.last}))[0]
			equal(t, "start", r.StartMs-exportMs, test.start)
			equal(t, "end", r.EndMs-exportMs, test.end)
		})
	}
}

func TestCase03_v5SamplingModeIsMasked(t *testing.T) {
	tests := []struct {
		name   string
		field  uint16
		rate   uint32
		source flow.SamplingSource
	}{
		{"none", 0, 1, flow.SamplingAssumed},
		{"deterministic", 1<<14 | 100, 100, flow.SamplingHeader},
		{"random", 2<<14 | 1000, 1000, flow.SamplingHeader},
		{"mode without a rate", 1 << 14, 1, flow.SamplingAssumed},
		{"largest", 2<<14 | (1<<14 - 1), 1<<14 - 1, flow.SamplingHeader},
		{"mode 3 is none: 16 bits of rate", 50_000, 50_000, flow.SamplingHeader16},
		{"mode 3 is none: largest", math.MaxUint16, math.MaxUint16, flow.SamplingHeader16},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			r := l.send(v5(v5Header{count: -1, sampling: test.field}, v5Flow{}))[0]
			equal(t, "rate", r.SamplingRate, test.rate)
			equal(t, "source", r.SamplingSource, test.source)
		})
	}
}

func TestCase04_v5SequenceCountsFlowsOfAnEngine(t *testing.T) {
	l := newLab(t, Options{})
	send := func(engine uint8, sequence uint32, flows int) {
		l.send(v5(v5Header{count: -1, uptime: testUptime, engineID: engine, sequence: sequence},
			make([]v5Flow, flows)...))
	}
	send(1, math.MaxUint32-29, 11)
	send(1, math.MaxUint32-18, 4)
	send(1, math.MaxUint32-14, 5) // by now it is known how it counts
	send(1, math.MaxUint32-9, 10) // the next is 0
	send(1, 0, 30)
	send(2, 777, 5) // another engine counts by itself
	send(1, 30, 2)
	send(2, 782, 1)
	send(1, 62, 3) // 30 flows are missing
	send(1, 32, 30)
	send(1, 62, 3)
	one, two := l.stream(flow.NetFlowV5, 1), l.stream(flow.NetFlowV5, 2)
	sequence(t, one, counts{reordered: 1, duplicated: 1})
	sequence(t, two, counts{})
	send(1, 165, 1)
	sequence(t, one, counts{lost: 100, reordered: 1, duplicated: 1})
}

// counts are the sequence results of a stream.
type counts struct{ lost, duplicated, reordered, restarts uint64 }

func sequence(t *testing.T, s *exporter.Stream, want counts) {
	t.Helper()
	equal(t, "sequence result", counts{s.Lost.Load(), s.Duplicated.Load(), s.Reordered.Load(), s.Restarts.Load()}, want)
}

func TestCase05_v5ICMPAndAS(t *testing.T) {
	tests := []struct {
		name         string
		in           v5Flow
		kind, code   uint8
		sent         bool
		srcAS, dstAS uint32
	}{
		{"ICMP echo request", v5Flow{protocol: 1, dstPort: 8 << 8}, 8, 0, true, 0, 0},
		{"ICMP port unreachable", v5Flow{protocol: 1, dstPort: 3<<8 | 3}, 3, 3, true, 0, 0},
		{"UDP has none", v5Flow{protocol: 17, dstPort: 8 << 8}, 0, 0, false, 0, 0},
		{"AS_TRANS is no AS", v5Flow{protocol: 6, srcAS: 23456, dstAS: 65535}, 0, 0, false, 0, 65535},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newLab(t, Options{}).send(v5(v5Header{count: -1}, test.in))[0]
			equal(t, "ICMP", [2]uint8{r.ICMPType, r.ICMPCode}, [2]uint8{test.kind, test.code})
			equal(t, "ICMP sent", r.Sent(flow.ICMP), test.sent)
			equal(t, "port", r.DstPort, test.in.dstPort)
			equal(t, "AS", [2]uint32{r.SrcAS, r.DstAS}, [2]uint32{test.srcAS, test.dstAS})
		})
	}
}

func TestCase06_v5WithoutTimesHasTheExportTime(t *testing.T) {
	r := newLab(t, Options{}).send(v5(v5Header{count: -1, uptime: 5_000_000, nanos: 250e6},
		v5Flow{bytes: math.MaxUint32}))[0]
	equal(t, "start", r.StartMs, exportMs+250)
	equal(t, "end", r.EndMs, exportMs+250)
	equal(t, "times sent", r.Has&(flow.Start|flow.End), 0)
	equal(t, "bytes", r.Bytes, math.MaxUint32)
}
