package pipeline

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/clickhouse"
)

func TestWorker_clamp(t *testing.T) {
	const hour = 60 * 60 * 1000
	received := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	now := received.UnixMilli()
	for _, test := range []struct {
		name               string
		start, end         int64 // relative to the receipt
		ttl                time.Duration
		settings           Settings
		wantStart, wantEnd int64
	}{
		{"of now", -1000, 0, 0, Settings{}, -1000, 0},
		{"a clock an hour ahead", hour, hour + 1000, 0, Settings{}, hour, hour + 1000},
		{"a day ahead", 24*hour - 1000, 24 * hour, 0, Settings{}, 24*hour - 1000, 24 * hour},
		{"more than a day ahead: the duration stays", 30 * hour, 30*hour + 5000, 0, Settings{}, -5000, 0},
		{"as far ahead as is allowed", 30 * hour, 30*hour + 5000, 0, Settings{MaxAheadMs: 48 * hour}, 30 * hour,
			30*hour + 5000},
		{"a month ago, without a TTL", -720 * hour, -719 * hour, 0, Settings{}, -720 * hour, -719 * hour},
		{"a month ago, within the TTL", -720 * hour, -719 * hour, 31 * 24 * time.Hour, Settings{}, -720 * hour,
			-719 * hour},
		{"a month ago, beyond the TTL: the duration stays", -720*hour - hour, -720 * hour, 24 * time.Hour, Settings{},
			-hour, 0},
		{"a month ago, beyond max_behind", -720*hour - hour, -720 * hour, 0, Settings{MaxBehindMs: 48 * hour}, -hour,
			0},
		{"it began in 1970", -now, -1000, 24 * time.Hour, Settings{}, -1000, -1000},
		{"it ends in 9999", -1000, 1 << 50, 0, Settings{}, 0, 0},
		{"it began and ended before 1970", -now - 10, -now - 10, 24 * time.Hour, Settings{}, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorker(t, nil)
			w.settings = &test.settings
			w.SetTTL(test.ttl)
			r := flow.Record{Received: received.UnixNano(), StartMs: now + test.start, EndMs: now + test.end}
			was := w.clamp(&r, r.Received/1e6)
			if r.StartMs != now+test.wantStart || r.EndMs != now+test.wantEnd {
				t.Errorf("%d to %d, want %d to %d", r.StartMs-now, r.EndMs-now, test.wantStart, test.wantEnd)
			}
			replaced := test.start != test.wantStart || test.end != test.wantEnd
			if want := (stated{max(now+test.start, 0), max(now+test.end, 0)}); replaced && was != want || !replaced &&
				was != (stated{}) {
				t.Errorf("stated are %v; replaced: %v", was, replaced)
			}
		})
	}
	t.Run("our own clock was never set", func(t *testing.T) {
		w := newWorker(t, nil)
		w.settings = &Settings{}
		r := flow.Record{Received: int64(5 * time.Second), StartMs: now, EndMs: now}
		if was := w.clamp(&r, r.Received/1e6); was != (stated{}) || r.StartMs != now {
			t.Errorf("the exporter's time %d became %d", now, r.StartMs)
		}
	})
}

// v5 is a NetFlow v5 datagram of one flow that began and ended a second before the header's time.
func v5(sequence uint32, at time.Time) exporter.Datagram {
	const uptime = 3_600_000
	b := binary.BigEndian.AppendUint16(nil, 5)
	b = binary.BigEndian.AppendUint16(b, 1)
	for _, n := range []uint32{uptime, uint32(at.Unix()), 0, sequence, 0} {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	record := make([]byte, 48)
	copy(record, []byte{198, 18, 0, 1, 198, 18, 16, 1})
	binary.BigEndian.PutUint32(record[16:], 1)   // packets
	binary.BigEndian.PutUint32(record[20:], 100) // bytes
	binary.BigEndian.PutUint32(record[24:], uptime-1000)
	binary.BigEndian.PutUint32(record[28:], uptime-1000)
	record[38] = 17
	return exporter.Datagram{Payload: append(b, record...), Source: netip.MustParseAddrPort("192.0.2.1:2055")}
}

// daySet is a sink that notes on which days rows began.
type daySet map[int64]bool

func (d daySet) Append(row *enrich.Row, _ flow.StreamKey, _ time.Time) { d[row.StartMs/dayMs] = true }
func (d daySet) FlushIfOld(time.Time)                                  {}
func (d daySet) Flush()                                                {}

// An exporter whose clock jumps about opens a handful of partitions, whatever it says.
func TestWorker_oddDaysAreBounded(t *testing.T) {
	received := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	const flows = 2000
	for _, test := range []struct {
		name    string
		day     int // each datagram's, from the one before
		clamped uint64
	}{
		// Tomorrow's is believed. Beyond 100 days the decoder does not believe the header: there is nothing left to
		// clamp.
		{"ahead", 1, 99},
		{"behind, of a table without a TTL", -1, flows - clickhouse.OddDays - 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			blocks, rows, days := 0, 0, daySet{}
			w := newWorker(t, func(ins *clickhouse.Insert) { blocks++; rows += ins.Rows }, days)
			for n := range flows {
				dg := v5(uint32(n), received.AddDate(0, 0, test.day*(n+1)))
				dg.Received = received.UnixNano()
				w.Process([]exporter.Datagram{dg}, received)
			}
			w.Flush()
			if blocks > 2 || rows != flows || len(days) > clickhouse.OddDays+3 {
				t.Errorf("%d rows in %d blocks of %d days, want %d rows in two of at most %d days", rows, blocks,
					len(days), flows, clickhouse.OddDays+3)
			}
			stream := w.Decoder.Exporters().Streams()[0]
			if got := stream.Clamped.Load(); got != test.clamped {
				t.Errorf("%d records are counted as clamped, want %d", got, test.clamped)
			}
		})
	}
}

func TestWorker_clampsWithoutAllocating(t *testing.T) {
	received := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	w := newWorker(t, func(*clickhouse.Insert) {})
	dg := v5(1, received.AddDate(0, 2, 0))
	dg.Received = received.UnixNano()
	all := []exporter.Datagram{dg}
	for range 60_000 { // a block's memory has its size
		w.Process(all, received)
	}
	if n := testing.AllocsPerRun(1000, func() { w.Process(all, received) }); n > 0 {
		t.Errorf("%.1f allocations a clamped record", n)
	}
}

// Rows of odd days wait longer than others, so that a flood of them opens partitions in few inserts.
func TestWorker_oddDaysWait(t *testing.T) {
	received := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	var blocks []int
	w := newWorker(t, func(ins *clickhouse.Insert) { blocks = append(blocks, ins.Rows) })
	for second := range 21 {
		for n, day := range []int{0, -5} {
			dg := v5(uint32(2*second+n), received.AddDate(0, 0, day))
			dg.Received = received.UnixNano()
			w.Process([]exporter.Datagram{dg}, received.Add(time.Duration(second)*time.Second))
		}
	}
	w.Flush()
	odd := 0
	for _, rows := range blocks {
		if rows >= 10 {
			odd++
		}
	}
	if len(blocks) > 15 || odd != 2 {
		t.Errorf("blocks of %v rows in 21 s, want two of 10 rows of the odd day in between", blocks)
	}
}

// A block of a capture, whose times stay as they are, is delivered before it has more days than an insert may open
// partitions.
func TestWorker_boundsTheDaysOfABlock(t *testing.T) {
	received := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	var blocks []int
	w := newWorker(t, func(ins *clickhouse.Insert) { blocks = append(blocks, ins.Rows) })
	w.KeepTimes = true
	for n := range 250 {
		dg := v5(uint32(n), received.AddDate(0, 0, -n))
		dg.Received = received.UnixNano()
		w.Process([]exporter.Datagram{dg}, received)
	}
	w.Flush()
	if want := []int{100, 100, 2, 48}; !slices.Equal(blocks, want) { // 2 of the days around the receipt
		t.Errorf("blocks of %v rows of a day each, want %v", blocks, want)
	}
}

// Times that are called usual are neither counted nor replaced, whatever the settings.
func TestUsualTimes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	received := time.Date(2026, 11, 29, 13, 0, 0, 0, time.UTC).UnixNano()
	// Bounds, and times around them, in milliseconds.
	near := func() int64 {
		bounds := []int64{0, 1000, 10 * 60_000, 3_600_000, 13 * 3_600_000, dayMs, 2 * dayMs}
		return (bounds[random.IntN(len(bounds))] + random.Int64N(5) - 2) * (1 - 2*random.Int64N(2))
	}
	some := 0
	for range 200 {
		w := newWorker(t, nil)
		for range 500 {
			w.settings = &Settings{MaxAheadMs: max(near(), 0), MaxBehindMs: max(near(), 0)}
			w.SetTTL(time.Duration(max(near(), 0)) * time.Millisecond)
			r := flow.Record{Received: received, StartMs: received/1e6 + near(), EndMs: received/1e6 + near()}
			if !usual(&r, received/1e6, w.usualAheadMs()) {
				continue
			}
			some++
			before := r
			was := w.checkTimes(r.Stream(), &r, received/1e6)
			s := w.Decoder.Exporters().Get(r.Stream(), r.Source, r.Received)
			if was != (stated{}) || r.StartMs != before.StartMs || r.EndMs != before.EndMs ||
				s.Ahead.Load()+s.Behind.Load()+s.Clamped.Load() > 0 {
				t.Fatalf("%+v, TTL %d ms: %d to %d ms are usual, but not left alone", *w.settings, w.ttlMs.Load(),
					before.StartMs-received/1e6, before.EndMs-received/1e6)
			}
		}
	}
	if some < 1000 {
		t.Errorf("%d records had usual times: too few to say anything", some)
	}
}
