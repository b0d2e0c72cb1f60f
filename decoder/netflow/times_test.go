package netflow

import (
	"math"
	"slices"
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
)

// ntp is a time stamp of IE 154-157 (RFC 7011 §6.1.9): seconds since 1900 and a binary fraction.
func ntp(unixMs int64) []byte {
	seconds := uint64(unixMs/1000) + ntpEpoch // mod 2^32: beyond 2036 the next era
	fraction := (uint64(unixMs%1000)<<32 + 500) / 1000
	return u64(seconds<<32 | fraction)
}

func TestCase30_FormsOfTime(t *testing.T) {
	const start, end = exportMs - 61_234, exportMs - 1_567
	tests := []struct {
		name       string
		items      []item
		start, end int64
	}{
		{"seconds", []item{el(150, u32(exportS-61)), el(151, u32(exportS-1))}, exportMs - 61_000, exportMs - 1_000},
		{"seconds, 8 bytes", []item{el(150, u64(exportS-61)), el(151, u64(exportS-1))}, exportMs - 61_000, exportMs - 1_000},
		{"milliseconds", []item{el(152, u64(uint64(start))), el(153, u64(uint64(end)))}, start, end},
		{"NTP microseconds", []item{el(154, ntp(start)), el(155, ntp(end))}, start, end},
		{"NTP nanoseconds", []item{el(156, ntp(start)), el(157, ntp(end))}, start, end},
		{"NTP, the lower bits of microseconds have no meaning",
			[]item{el(154, u64((exportS-5+ntpEpoch)<<32|0x7ff)), el(155, u64((exportS-4+ntpEpoch)<<32|0x800007ff))},
			exportMs - 5000, exportMs - 3500},
		{"NTP in 16 bytes", []item{el(156, append(ntp(start), u64(0)...)), el(157, append(ntp(end), u64(0)...))}, start, end},
		{"plain microseconds", []item{el(154, u64(uint64(start*1000+999))), el(155, u64(uint64(end*1000)))}, start, end},
		{"plain nanoseconds", []item{el(156, u64(uint64(start*1e6+999_999))), el(157, u64(uint64(end*1e6)))}, start, end},
		{"deltas before the export time", []item{el(158, u32(61_234_000)), el(159, u32(1_567_000))}, start, end},
		{"observation time: seconds", []item{el(322, u32(exportS-5))}, exportMs - 5000, exportMs - 5000},
		{"observation time: milliseconds", []item{el(323, u64(uint64(start)))}, start, start},
		{"observation time: microseconds", []item{el(324, ntp(start))}, start, start},
		{"observation time: nanoseconds", []item{el(325, ntp(start))}, start, start},
		{"start before the observation time", []item{el(323, u64(uint64(end))), el(152, u64(uint64(start)))}, start, start},
		{"the first form counts", []item{el(152, u64(uint64(start))), el(150, u32(exportS)), el(151, u32(exportS-1)), el(153, u64(uint64(end)))},
			start, exportMs - 1000},
		{"collection time is no flow time", []item{el(258, u64(uint64(start)))}, exportMs, exportMs},
		{"uptimes without a start of the device", []item{el(22, u32(5)), el(21, u32(6))}, exportMs, exportMs},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newLab(t, Options{}).one(flow.IPFIX, test.items...)
			equal(t, "start", r.StartMs-exportMs, test.start-exportMs)
			equal(t, "end", r.EndMs-exportMs, test.end-exportMs)
		})
	}
}

// Every millisecond must come back from its fraction, whether the exporter rounds or cuts it off, at 32 bits or at the 21
// that microseconds have.
func TestCase30_NTPFractionsLoseNothing(t *testing.T) {
	for ms := range uint64(1000) {
		exact := ms << 32 / 1000
		for _, fraction := range []uint64{exact, exact + 1, exact &^ 0x7ff, exact | 0x7ff} {
			if got := fractionMillis(formMicros, fraction); got != int64(ms) {
				t.Errorf("microseconds %#x: %d ms, want %d", fraction, got, ms)
			}
		}
		for _, fraction := range []uint64{exact, exact + 1} {
			if got := fractionMillis(formNanos, fraction); got != int64(ms) {
				t.Errorf("nanoseconds %#x: %d ms, want %d", fraction, got, ms)
			}
		}
	}
}

func TestCase30_NTPEraOf2036(t *testing.T) {
	const ms = 2_300_000_000_250 // 2042
	for _, form := range []uint8{formMicros, formNanos} {
		if got := millis(form, ntp(ms), ms); got != ms {
			t.Errorf("form %d: %d, want %d", form, got, int64(ms))
		}
	}
	if got := millis(formMicros, u64(0), exportMs); got != 0 {
		t.Errorf("an empty time stamp is %d", got)
	}
}

func TestCase31_UptimeSinceInitTime(t *testing.T) {
	const boot = exportMs - 100_000
	wrapped := exportMs - int64(math.MaxUint32) - 1 - 50_000 // started 49.7 days and 50 s ago
	uptimes := []item{el(22, u32(40_000)), el(21, u32(90_000))}
	tests := []struct {
		name       string
		option     []item
		items      []item
		start, end int64
	}{
		{"in the record", nil, append([]item{el(160, u64(boot))}, uptimes...), boot + 40_000, boot + 90_000},
		{"behind the uptimes", nil, append(slices.Clone(uptimes), el(160, u64(boot))), boot + 40_000, boot + 90_000},
		{"in an option record", []item{el(149, u32(0)), el(160, u64(boot))}, uptimes, boot + 40_000, boot + 90_000},
		{"the record's own counts", []item{el(149, u32(0)), el(160, u64(1))}, append([]item{el(160, u64(boot))}, uptimes...),
			boot + 40_000, boot + 90_000},
		{"the uptime has wrapped", []item{el(149, u32(0)), el(160, u64(uint64(wrapped)))}, uptimes[:1], exportMs - 10_000, exportMs - 10_000},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			if test.option != nil {
				l.send(ipfix(ipfixHeader, set(3, optionsIPFIX(300, 1, test.option...)), set(300, dataOf(test.option...))))
			}
			r := l.one(flow.IPFIX, test.items...)
			equal(t, "start", r.StartMs-exportMs, test.start-exportMs)
			equal(t, "end", r.EndMs-exportMs, test.end-exportMs)
		})
	}
}

func TestCase32_MissingEnds(t *testing.T) {
	const start, end = exportMs - 60_000, exportMs - 1_000
	s, e := el(152, u64(start)), el(153, u64(end))
	tests := []struct {
		name       string
		items      []item
		start, end int64
		sent       flow.Fields
	}{
		{"start and duration in ms", []item{s, el(161, u32(1500))}, start, start + 1500, flow.Start | flow.End},
		{"start and duration in µs", []item{s, el(162, u32(2_500_999))}, start, start + 2500, flow.Start | flow.End},
		{"duration before the start", []item{el(161, u32(1500)), s}, start, start + 1500, flow.Start | flow.End},
		{"end and duration", []item{e, el(161, u32(1500))}, end - 1500, end, flow.Start | flow.End},
		{"both and duration", []item{s, e, el(161, u32(1))}, start, end, flow.Start | flow.End},
		{"start alone", []item{s}, start, start, flow.Start},
		{"end alone", []item{e}, end, end, flow.End},
		{"end 0", []item{s, el(153, u64(0))}, start, start, flow.Start},
		{"end 0 with a duration", []item{s, el(153, u64(0)), el(161, u32(10))}, start, start + 10, flow.Start | flow.End},
		{"start 0", []item{el(152, u64(0)), e}, end, end, flow.End},
		{"neither", nil, exportMs, exportMs, 0},
		{"duration alone", []item{el(161, u32(10))}, exportMs, exportMs, 0},
		{"end before start stays as it was sent", []item{el(152, u64(end)), el(153, u64(start))}, end, start, flow.Start | flow.End},
		{"a duration beyond reason does not overflow", []item{s, el(161, u64(math.MaxUint64))}, start, start + 1<<40, flow.Start | flow.End},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newLab(t, Options{}).one(flow.IPFIX, append(test.items, el(1, u32(1)))...)
			equal(t, "start", r.StartMs-exportMs, test.start-exportMs)
			equal(t, "end", r.EndMs-exportMs, test.end-exportMs)
			equal(t, "times sent", r.Has&(flow.Start|flow.End), test.sent)
		})
	}
}
