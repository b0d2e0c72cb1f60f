package netflow

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
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
		{"seconds, 8 bytes", []item{el(150, u64(exportS-61)), el(151, u64(exportS-1))}, exportMs - 61_000,
			exportMs - 1_000},
		{"milliseconds", []item{el(152, u64(uint64(start))), el(153, u64(uint64(end)))}, start, end},
		{"NTP microseconds", []item{el(154, ntp(start)), el(155, ntp(end))}, start, end},
		{"NTP nanoseconds", []item{el(156, ntp(start)), el(157, ntp(end))}, start, end},
		{"NTP, the lower bits of microseconds have no meaning",
			[]item{el(154, u64((exportS-5+ntpEpoch)<<32|0x7ff)), el(155, u64((exportS-4+ntpEpoch)<<32|0x800007ff))},
			exportMs - 5000, exportMs - 3500},
		{"NTP in 16 bytes", []item{el(156, append(ntp(start), u64(0)...)), el(157, append(ntp(end), u64(0)...))}, start,
			end},
		{"plain microseconds", []item{el(154, u64(uint64(start*1000+999))), el(155, u64(uint64(end*1000)))}, start,
			end},
		{"plain nanoseconds", []item{el(156, u64(uint64(start*1e6+999_999))), el(157, u64(uint64(end*1e6)))}, start,
			end},
		{"deltas before the export time", []item{el(158, u32(61_234_000)), el(159, u32(1_567_000))}, start, end},
		{"observation time: seconds", []item{el(322, u32(exportS-5))}, exportMs - 5000, exportMs - 5000},
		{"observation time: milliseconds", []item{el(323, u64(uint64(start)))}, start, start},
		{"observation time: microseconds", []item{el(324, ntp(start))}, start, start},
		{"observation time: nanoseconds", []item{el(325, ntp(start))}, start, start},
		{"start before the observation time", []item{el(323, u64(uint64(end))), el(152, u64(uint64(start)))}, start,
			start},
		{"the finest form counts", []item{el(152, u64(uint64(start))), el(150, u32(exportS)), el(151, u32(exportS-1)),
			el(153, u64(uint64(end)))},
			start, end},
		{"the finest form that is filled in counts",
			[]item{el(150, u32(exportS-61)), el(152, u64(0)), el(151, u32(exportS-1)), el(153, u64(0)),
				el(156, u64(0)), el(157, u64(0))}, exportMs - 61_000, exportMs - 1_000},
		{"nanoseconds before milliseconds", []item{el(157, ntp(end)), el(153, u64(1)), el(152, u64(1)),
			el(156, ntp(start))}, start, end},
		{"an end in whole seconds is not before its start", []item{el(152, u64(exportMs-400)), el(151, u32(exportS-1))},
			exportMs - 400, exportMs - 400},
		{"collection time is no flow time", []item{el(258, u64(uint64(start)))}, exportMs, exportMs},
		{"uptimes without a start of the device", []item{el(22, u32(5_000)), el(21, u32(14_000))}, exportMs - 9000,
			exportMs},
		{"those across their wrap", []item{el(22, u32(math.MaxUint32-3999)), el(21, u32(5_000))}, exportMs - 9000,
			exportMs},
		{"those in reverse", []item{el(22, u32(14_000)), el(21, u32(5_000))}, exportMs - 9000, exportMs},
		{"milliseconds before those", []item{el(22, u32(5_000)), el(21, u32(14_000)), el(152, u64(uint64(start))),
			el(153, u64(uint64(end)))}, start, end},
		{"one of those alone", []item{el(21, u32(14_000))}, exportMs, exportMs},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newLab(t, Options{}).one(flow.IPFIX, test.items...)
			equal(t, "start", r.StartMs-exportMs, test.start-exportMs)
			equal(t, "end", r.EndMs-exportMs, test.end-exportMs)
		})
	}
}

// Every millisecond must come back from its fraction, whether the exporter rounds or cuts it off, at 32 bits or at the
// 21 that microseconds have.
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
		if got, _ := (&context{exportMs: ms}).millis(form, ntp(ms)); got != ms {
			t.Errorf("form %d: %d, want %d", form, got, int64(ms))
		}
	}
	if got, _ := (&context{exportMs: exportMs}).millis(formMicros, u64(0)); got != 0 {
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
		{"the record's own counts", []item{el(149, u32(0)), el(160, u64(1))},
			append([]item{el(160, u64(boot))}, uptimes...),
			boot + 40_000, boot + 90_000},
		{"the uptime has wrapped", []item{el(149, u32(0)), el(160, u64(uint64(wrapped)))}, uptimes[:1],
			exportMs - 10_000, exportMs - 10_000},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			if test.option != nil {
				l.send(ipfix(ipfixHeader, set(3, optionsIPFIX(300, 1, test.option...)),
					set(300, dataOf(test.option...))))
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
		{"end 0 with a duration", []item{s, el(153, u64(0)), el(161, u32(10))}, start, start + 10,
			flow.Start | flow.End},
		{"start 0", []item{el(152, u64(0)), e}, end, end, flow.End},
		{"neither", nil, exportMs, exportMs, 0},
		{"duration alone", []item{el(161, u32(10))}, exportMs - 10, exportMs, flow.Start | flow.End},
		{"seconds beside uptimes without a start of the system",
			[]item{el(150, u32(exportS-100)), el(151, u32(exportS-90)), el(22, u32(1000)), el(21, u32(11000))},
			exportMs - 100_000, exportMs - 90_000, flow.Start | flow.End},
		{"end before start", []item{el(152, u64(end)), el(153, u64(start))}, start, end, flow.Start | flow.End},
		{"a duration beyond reason", []item{s, el(161, u64(math.MaxUint64))}, start, start, flow.Start},
		{"both 0", []item{el(152, u64(0)), el(153, u64(0))}, exportMs, exportMs, 0},
		{"both 0, in seconds", []item{el(150, u32(0)), el(151, u32(0))}, exportMs, exportMs, 0},
		{"both 0, in nanoseconds", []item{el(156, u64(0)), el(157, u64(0))}, exportMs, exportMs, 0},
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

// A record's times are never those that its flow cannot have: bounded by the export and the receive time (case 31).
func TestCase31_TimesOfAnotherClock(t *testing.T) {
	ms := func(start, end int64) []item { return []item{el(152, u64(uint64(start))), el(153, u64(uint64(end)))} }
	const day = 24 * 3600 * 1000
	tests := []struct {
		name       string
		header     int64 // seconds after exportS
		received   time.Duration
		items      []item
		start, end int64 // relative to exportMs
		reading    exporter.Reading
		read       uint64
	}{
		{"as they should be", 0, 0, ms(exportMs-9000, exportMs-1000), -9000, -1000, exporter.RecordClockWrong, 0},
		{"one start for 31 days", 0, 0, ms(exportMs-31*day, exportMs-1000), -31 * day, -1000, exporter.RecordClockWrong,
			0},
		{"since the device started", 0, 0, ms(1_000_000, 1_009_000), -9000, 0, exporter.RecordClockWrong, 1},
		{"a year ahead", 0, 0, ms(exportMs+365*day, exportMs+365*day+9000), -9000, 0, exporter.RecordClockWrong, 1},
		{"an hour ahead", 0, 0, ms(exportMs+3_600_000, exportMs+3_609_000), -9000, 0, exporter.RecordClockWrong, 1},
		{"an hour ahead of the header, as received", 0, time.Hour, ms(exportMs+3_590_000, exportMs+3_599_000),
			3_590_000, 3_599_000, exporter.RecordClockWrong, 0},
		{"the end ahead", 0, 0, ms(exportMs-9000, exportMs+365*day), -9000, -9000, exporter.RecordClockWrong, 1},
		{"the start of 1970", 0, 0, ms(1000, exportMs-1000), -1000, -1000, exporter.RecordClockWrong, 1},
		{"the header's clock of 1970", -exportS + 1000, 0, ms(exportMs-9000, exportMs-1000), -9000, -1000,
			exporter.HeaderClockWrong, 1},
		{"both clocks of 1970", -exportS + 1000, 0, ms(990_000, 999_000), -10_000, -1000, exporter.HeaderClockWrong, 1},
		{"the header's clock of 2099", 75 * 365 * 86400, 0, ms(exportMs-9000, exportMs-1000), -9000, -1000,
			exporter.HeaderClockWrong, 1},
		{"the header's clock a year ahead", 365 * 86400, 0, ms(exportMs-9000, exportMs-1000), -9000, -1000,
			exporter.HeaderClockWrong, 1},
		{"both clocks a year ahead", 365 * 86400, 0, ms(exportMs+365*day-9000, exportMs+365*day-1000), -9000, -1000,
			exporter.HeaderClockWrong, 1},
		{"both clocks 101 days ahead, a flow of 102 days", 101 * 86400, 0, ms(exportMs-day-1000, exportMs+101*day-1000),
			-102*day - 1000, -1000, exporter.HeaderClockWrong, 1},
		{"uptimes, the header's clock a year ahead", 365 * 86400, 0,
			[]item{el(22, u32(testUptime-10_000)), el(21, u32(testUptime-1000))},
			-10_000, -1000, exporter.HeaderClockWrong, 1},
		{"a header two months ahead is for the operator", 60 * 86400, 0, ms(exportMs-9000, exportMs-1000), -9000, -1000,
			exporter.HeaderClockWrong, 0},
		{"seconds in milliseconds' elements", 0, 0, ms(exportS-9, exportS-1), -9000, -1000, exporter.TimeUnitsMixed, 2},
		{"seconds of a flow that began weeks ago", 0, 0, ms(exportS-40*86400, exportS-1), -40 * day, -1000,
			exporter.TimeUnitsMixed, 2},
		{"seconds for the start only", 0, 0, ms(exportS-9, exportMs-1000), -9000, -1000, exporter.TimeUnitsMixed, 1},
		{"microseconds in milliseconds' elements", 0, 0, ms((exportMs-9000)*1000, (exportMs-1000)*1000), -9000, -1000,
			exporter.TimeUnitsMixed, 2},
		{"milliseconds in seconds' elements", 0, 0, []item{el(150, u64(exportMs-9000)), el(151, u64(exportMs-1000))},
			-9000, -1000, exporter.TimeUnitsMixed, 2},
		{"milliseconds in nanoseconds' elements", 0, 0,
			[]item{el(156, u64(exportMs-9000)), el(157, u64(exportMs-1000))},
			-9000, -1000, exporter.TimeUnitsMixed, 2},
		{"an uptime of 12 days is no second of 2003", 0, 0, ms(1_060_000_000, 1_060_009_000), -9000, 0,
			exporter.TimeUnitsMixed, 0},
		{"uptimes, the header's clock of 1970", -exportS + 1000, 0,
			[]item{el(22, u32(testUptime-10_000)), el(21, u32(testUptime-1000))},
			-10_000, -1000, exporter.HeaderClockWrong, 1},
		{"uptimes of another clock", 0, 0, []item{el(22, u32(621_761_700)), el(21, u32(621_770_700))}, -9000, 0,
			exporter.RecordClockWrong, 1},
		{"uptimes in reverse", 0, 0, []item{el(22, u32(testUptime-1000)), el(21, u32(testUptime-10_000))}, -10_000,
			-1000, exporter.EndBeforeStart, 1},
		{"uptimes that are not filled in", 0, 0, []item{el(22, u32(0)), el(21, u32(0))}, 0, 0,
			exporter.RecordClockWrong, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			l.received += int64(test.received)
			items := append(test.items, el(1, u32(1)))
			r := l.send(v9(header{exportS: uint32(exportS + test.header), uptime: testUptime},
				set(setTemplateV9, templateOf(256, items...)), set(256, dataOf(items...))))
			equal(t, "start", r[0].StartMs-exportMs, test.start)
			equal(t, "end", r[0].EndMs-exportMs, test.end)
			equal(t, test.reading.String(), l.stream(flow.NetFlowV9, 0).TimesRead(test.reading), test.read)
		})
	}
}

// Uptimes with a start of the device that cannot be true still tell the duration.
func TestCase31_WrongInitTime(t *testing.T) {
	for _, init := range []uint64{exportMs + 1000_000, 86_400_000, exportMs - 20*86_400_000} {
		r := newLab(t, Options{}).one(flow.IPFIX, el(160, u64(init)), el(22, u32(40_000)), el(21, u32(90_000)))
		equal(t, "start", r.StartMs-exportMs, -50_000)
		equal(t, "end", r.EndMs-exportMs, 0)
	}
}

// One record cannot show that fractions are decimal; a run of them does, and one above a billion ends it (case 30).
func TestCase30_PlainFractions(t *testing.T) {
	tests := []struct {
		name     string
		fraction func(ms uint64) uint64
		id       [2]uint16
		plain    bool
	}{
		{"nanoseconds in nanoseconds", func(ms uint64) uint64 { return ms * 1e6 }, [2]uint16{156, 157}, true},
		{"nanoseconds in microseconds", func(ms uint64) uint64 { return ms * 1e6 }, [2]uint16{154, 155}, true},
		{"microseconds in microseconds", func(ms uint64) uint64 { return ms * 1e3 }, [2]uint16{154, 155}, true},
		{"microseconds in nanoseconds", func(ms uint64) uint64 { return ms * 1e3 }, [2]uint16{156, 157}, true},
		{"as the RFC has them", func(ms uint64) uint64 { return ms<<32/1000 + 1 }, [2]uint16{156, 157}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			stamp := func(ms uint64) []byte { return u64((exportS-20+ntpEpoch)<<32 | test.fraction(ms)) }
			var r flow.Record
			for i := range uint64(100) {
				r = l.one(flow.IPFIX, el(test.id[0], stamp(100+i*7%433)), el(test.id[1], stamp(500+i*11%467)))
			}
			equal(t, "start", r.StartMs, exportMs-20_000+100+99*7%433)
			equal(t, "end", r.EndMs, exportMs-20_000+500+99*11%467)
			equal(t, "read as plain", l.stream(flow.IPFIX, 0).TimesRead(exporter.PlainFractions) > 0, test.plain)
			if test.plain {
				// A fraction that no decimal one can be: the exporter was replaced by one that keeps to the RFC.
				r = l.one(flow.IPFIX, el(test.id[0], u64((exportS-20+ntpEpoch)<<32|1<<31)))
				equal(t, "start, of another exporter", r.StartMs, exportMs-19_500)
			}
		})
	}
}
