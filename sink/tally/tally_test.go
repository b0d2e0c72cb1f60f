package tally

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/decoder/flow"
)

func key(n int) flow.StreamKey {
	return flow.StreamKey{
		Exporter: flow.AddrFrom(netip.AddrFrom4([4]byte{192, 0, byte(n >> 8), byte(n)})), Protocol: flow.IPFIX,
		Domain: uint32(n) << 20,
	}
}

// counted is the tally of rows of those streams.
func counted(c *Counter, streams ...int) *Tally {
	for _, n := range streams {
		c.Add(key(n))
	}
	return c.Take()
}

func TestCounter(t *testing.T) {
	var c Counter
	got := counted(&c, 1, 1, 2, 1, 1, 1, 3)
	want := &Tally{Streams: []flow.StreamKey{key(1), key(2), key(3)}, Runs: []Run{{0, 2}, {1, 1}, {0, 3}, {2, 1}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	shares := []Share{{key(1), 5}, {key(2), 1}, {key(3), 1}}
	if diff := cmp.Diff(shares, got.Shares()); diff != "" {
		t.Error(diff)
	}
	// The next block knows nothing of the one before, not even of its last stream.
	if diff := cmp.Diff(&Tally{Streams: []flow.StreamKey{key(3)}, Runs: []Run{{0, 2}}}, counted(&c, 3, 3)); diff != "" {
		t.Error(diff)
	}
	if got.Rows() != 7 {
		t.Errorf("%d rows, want 7: the next block changed the tally", got.Rows())
	}
}

func TestCounterAllocatesNothing(t *testing.T) {
	var c Counter
	fill := func() {
		for n := range 3000 {
			c.Add(key(n % 100))
		}
		c.Reset()
	}
	fill()
	if n := testing.AllocsPerRun(20, fill); n > 0 {
		t.Errorf("%v allocations a block", n)
	}
}

func TestSlice(t *testing.T) {
	whole := counted(new(Counter), 1, 1, 2, 1, 1, 1, 3)
	for from := uint64(0); from <= 7; from++ {
		for to := from; to <= 9; to++ {
			part := whole.Slice(from, to)
			end := min(to, 7)
			if part.Rows() != end-min(from, end) {
				t.Errorf("rows %d to %d are %d", from, to, part.Rows())
			}
			for row := from; row < end; row++ {
				want, _ := whole.At(row)
				if got, ok := part.At(row - from); !ok || got != want {
					t.Errorf("row %d of %d to %d is of %v, want %v", row, from, to, got, want)
				}
			}
		}
	}
	for _, rows := range [][]int{nil, {0}, {6}, {1, 2, 3}, {0, 2, 4, 6}, {0, 1, 2, 3, 4, 5, 6}} {
		part := whole.Select(rows)
		if part.Rows() != uint64(len(rows)) {
			t.Errorf("of rows %v there are %d", rows, part.Rows())
		}
		for i, row := range rows {
			want, _ := whole.At(uint64(row))
			if got, ok := part.At(uint64(i)); !ok || got != want {
				t.Errorf("row %d of %v is of %v, want %v", row, rows, got, want)
			}
		}
	}
	if _, ok := whole.At(7); ok {
		t.Error("there is a row behind the last")
	}
	var none *Tally
	if none.Slice(0, 1) != nil || none.Select(nil) != nil || none.Rows() != 0 || none.Shares() != nil ||
		len(none.Append(nil)) != 0 {
		t.Error("no tally is not nothing")
	}
}

func TestParse(t *testing.T) {
	whole := counted(new(Counter), 1, 1, 2, 300, 300, 1)
	whole.Runs[0].Rows = 1<<32 - 1
	b := whole.Append(nil)
	got, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(whole, got); diff != "" {
		t.Error(diff)
	}
	if none, err := Parse(nil); none != nil || err != nil {
		t.Errorf("nothing is %v, %v", none, err)
	}
	for n := 1; n < len(b); n++ {
		if _, err := Parse(b[:n]); err == nil {
			t.Errorf("cut at byte %d it is read", n)
		}
	}
	for name, bad := range map[string][]byte{
		"more behind":             append(bytes.Clone(b), 0),
		"a run of no stream":      {0, 1, 0, 5},
		"streams without end":     {0xff, 0xff, 0xff, 0xff, 0x0f},
		"a number of many bytes":  bytes.Repeat([]byte{0xff}, 20),
		"a number beyond 32 bits": {0, 1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 1},
	} {
		if _, err := Parse(bad); err == nil {
			t.Errorf("%s: it is read", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{})
	f.Add(counted(new(Counter), 1, 1, 2, 300, 300, 1).Append(nil))
	f.Add([]byte{0, 1, 0, 5})
	f.Fuzz(func(t *testing.T, b []byte) {
		tally, err := Parse(b)
		if err != nil || tally == nil {
			return
		}
		total := uint64(0)
		for _, s := range tally.Shares() {
			total += s.Rows
		}
		if total != tally.Rows() {
			t.Errorf("shares of %d rows for %d", total, tally.Rows())
		}
		again, err := Parse(tally.Append(nil))
		if err != nil || !cmp.Equal(tally, again) {
			t.Errorf("it is another one when encoded again: %v", err)
		}
	})
}

// BenchmarkCounter is what the tally costs a row, of datagrams of 25 rows from 40 exporters in turn.
func BenchmarkCounter(b *testing.B) {
	var keys [40]flow.StreamKey
	for n := range keys {
		keys[n] = key(n)
	}
	var c Counter
	b.ReportAllocs()
	for b.Loop() {
		for _, k := range keys {
			for range 25 {
				c.Add(k)
			}
		}
		c.Reset()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(keys)*25), "ns/row")
}
