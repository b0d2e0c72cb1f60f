package replay

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/metranova/flow-collector/bench/gen"
	"github.com/metranova/flow-collector/collector/listen"
	"github.com/metranova/flow-collector/decoder"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

var captured = time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)

func generated(t testing.TB, o gen.Options) *Capture {
	t.Helper()
	o.Start = captured
	c := NewCapture()
	if err := gen.Each(o, func(d exporter.Datagram) error { c.Add(d); return nil }); err != nil {
		t.Fatal(err)
	}
	return c
}

// received is what a collector has of a replay.
type received struct {
	datagrams, flows int
	exporters        map[flow.Addr]int
	oldest, newest   int64 // of flows' ends, before the time when they were received, in milliseconds
	longest          int64 // of flows
	skew             int64 // the largest, of the headers' time, in milliseconds
	lost, restarts   uint64
	failed           uint64
	rates            map[uint32]int
}

// collector listens on a port of the loopback network with a large buffer; its function waits until nothing comes any
// more.
func collector(t *testing.T, address string) (to netip.AddrPort, wait func() received) {
	t.Helper()
	workers, err := listen.Open(listen.Options{Addresses: []string{address}, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	w := workers[0]
	t.Cleanup(w.Free)
	result := make(chan received)
	d := decoder.New(decoder.Options{})
	go func() {
		r := received{exporters: map[flow.Addr]int{}, oldest: -1 << 62, newest: 1 << 62, rates: map[uint32]int{}}
		b := flow.NewBatch(func(records []flow.Record) {
			for i := range records {
				r.add(&records[i])
			}
		})
		for {
			datagrams, err := w.Receive(time.Second)
			if err != nil {
				if !errors.Is(err, listen.ErrClosed) {
					t.Error(err)
				}
				break
			}
			for i := range datagrams {
				d.Decode(&datagrams[i], b)
				r.datagrams++
			}
		}
		d.Discard()
		for _, s := range d.Exporters().Streams() {
			r.lost += s.Lost.Load() + s.Duplicated.Load() + s.Reordered.Load() + s.SamplesLost.Load()
			r.restarts += s.Restarts.Load()
			for _, reason := range exporter.Reasons() {
				r.failed += s.Failed(reason)
			}
		}
		result <- r
	}()
	return netip.MustParseAddrPort(w.Addresses()[0]), func() received {
		w.Close()
		return <-result
	}
}

func (r *received) add(f *flow.Record) {
	r.flows++
	r.exporters[f.Source]++
	age := f.Received/1e6 - f.EndMs
	r.oldest, r.newest = max(r.oldest, age), min(r.newest, age)
	r.longest = max(r.longest, f.EndMs-f.StartMs)
	r.skew = max(r.skew, f.Received/1e6-f.ExportMs)
	r.rates[f.SamplingRate]++
}

func protocols() []flow.Protocol {
	return []flow.Protocol{flow.NetFlowV5, flow.NetFlowV9, flow.IPFIX, flow.SFlow5}
}

// A rewritten capture, lap after lap, is exporters that never stop: nothing is missing, no one restarts, all times
// are now.
func TestRun_lapsAreOneExporter(t *testing.T) {
	for _, p := range protocols() {
		t.Run(p.String(), func(t *testing.T) {
			o := gen.Options{Protocol: p, Flows: 3000, Exporters: 5, Sampling: 100, TemplateEvery: 30}
			if p != flow.NetFlowV5 {
				o.IPv6 = 0.25
			}
			// Its clock says that it took half a minute, so that a lap which is not rewritten would begin that long
			// before the last.
			o.Rate = 100
			c := generated(t, o)
			equal(t, "flows of the capture", c.Flows(), o.Flows)
			equal(t, "exporters of the capture", c.Exporters(), 5)
			to, wait := collector(t, "127.0.0.1:0")
			r := run(t, c, Options{To: to, Loops: 4, Rewrite: true, Rate: 50_000})
			got := wait()
			equal(t, "datagrams sent", r.Datagrams, 4*c.Datagrams())
			equal(t, "flows sent", r.Flows, 4*o.Flows)
			equal(t, "laps", r.Laps, 4)
			equal(t, "datagrams received", got.datagrams, r.Datagrams)
			equal(t, "flows received", got.flows, r.Flows)
			equal(t, "lost, late or twice", got.lost, 0)
			equal(t, "restarts", got.restarts, 0)
			equal(t, "failures", got.failed, 0)
			equal(t, "exporters", len(got.exporters), 5)
			equal(t, "flows with the sampling rate", got.rates[100], got.flows)
			if got.newest < -1 || got.oldest > 30_000 {
				t.Errorf("flows ended %d to %d ms ago", got.newest, got.oldest)
			}
			if got.longest > 61_000 {
				t.Errorf("a flow took %d ms, at most 60,000 were generated", got.longest)
			}
			if got.skew > 30_000 {
				t.Errorf("a header is of %d ms ago", got.skew)
			}
		})
	}
}

// What is not rewritten is sent as it is, and a second lap is a restart or a duplicate to its receiver.
func TestRun_asItIs(t *testing.T) {
	for _, p := range protocols() {
		t.Run(p.String(), func(t *testing.T) {
			c := generated(t, gen.Options{Protocol: p, Flows: 5000, Rate: 100})
			before := payloads(c)
			to, wait := collector(t, "127.0.0.1:0")
			r := run(t, c, Options{To: to, Loops: 2, DatagramRate: 5000})
			got := wait()
			equal(t, "flows received", got.flows, r.Flows)
			if got.lost+got.restarts == 0 {
				t.Error("the second lap has numbers and times of its own")
			}
			if got.skew < int64(time.Hour/time.Millisecond) && p != flow.SFlow5 {
				t.Errorf("headers are of %d ms ago at most, want the capture's times", got.skew)
			}
			if !slices.EqualFunc(before, payloads(c), slices.Equal) {
				t.Error("the capture is changed")
			}
		})
	}
}

func payloads(c *Capture) (all [][]byte) {
	c.Each(func(d exporter.Datagram) { all = append(all, slices.Clone(d.Payload)) })
	return all
}

// A capture that is replayed a second time goes on where it was.
func TestRun_goesOn(t *testing.T) {
	c := generated(t, gen.Options{Protocol: flow.NetFlowV9, Flows: 2000})
	to, wait := collector(t, "127.0.0.1:0")
	for range 3 {
		run(t, c, Options{To: to, Rewrite: true, Rate: 100_000})
	}
	got := wait()
	equal(t, "flows received", got.flows, 6000)
	equal(t, "lost", got.lost+got.restarts, 0)
}

// Captures of real exporters: everything that our decoder makes of them is counted before, and laps are one exporter.
func TestRun_realCaptures(t *testing.T) {
	files, err := filepath.Glob("../testdata/*.pcap")
	if err != nil || len(files) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			c, err := Load(file)
			if err != nil {
				t.Fatal(err)
			}
			to, wait := collector(t, "127.0.0.1:0")
			r := run(t, c, Options{To: to, Loops: 3, Rewrite: true, DatagramRate: 2000})
			got := wait()
			equal(t, "datagrams received", got.datagrams, r.Datagrams)
			equal(t, "flows received", got.flows, r.Flows)
			equal(t, "lost, late or twice", got.lost, 0)
			equal(t, "restarts", got.restarts, 0)
			if _, found := got.exporters[flow.AddrFrom(netip.MustParseAddr("127.17.0.1"))]; !found {
				t.Errorf("exporters are %v, want 127.17.0.1 for the first", got.exporters)
			}
		})
	}
}

func TestRun_toIPv6(t *testing.T) {
	c := generated(t, gen.Options{Protocol: flow.IPFIX, Flows: 1000})
	to, wait := collector(t, "[::1]:0")
	r := run(t, c, Options{To: to, Rate: 100_000})
	equal(t, "flows received", wait().flows, r.Flows)
}

// The rate is met, whatever it counts, and the time is kept. What is asserted is what was due, not how fast this host
// is.
func TestRun_rate(t *testing.T) {
	c := generated(t, gen.Options{Protocol: flow.NetFlowV9, Flows: 1000})
	to, wait := collector(t, "127.0.0.1:0")
	defer wait()
	for name, o := range map[string]Options{
		"flows":     {Rate: 20_000},
		"datagrams": {DatagramRate: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			o.To, o.Duration, o.Rewrite = to, 300*time.Millisecond, true
			r := run(t, c, o)
			if r.Took < o.Duration {
				t.Errorf("took %s", r.Took)
			}
			paced := (r.Took - r.Behind).Seconds()
			perDatagram := float64(c.Flows()) / float64(c.Datagrams()-1)
			if limit := o.Rate*paced + 2*perDatagram; o.Rate > 0 && float64(r.Flows) > limit {
				t.Errorf("%d flows in %s, at most %.0f are due", r.Flows, r.Took, limit)
			}
			if limit := o.DatagramRate*paced + 1; o.DatagramRate > 0 && float64(r.Datagrams) > limit {
				t.Errorf("%d datagrams in %s, at most %.0f are due", r.Datagrams, r.Took, limit)
			}
		})
	}
}

func TestRun_endsWithItsContext(t *testing.T) {
	c := generated(t, gen.Options{Protocol: flow.NetFlowV5, Flows: 100})
	to, wait := collector(t, "127.0.0.1:0")
	ctx, cancel := context.WithCancel(context.Background())
	told := 0
	r, err := Run(ctx, c, Options{To: to, Rate: 1000, Duration: time.Hour, Progress: func(Result) {
		if told++; told == 2 {
			cancel()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "flows received", wait().flows, r.Flows)
	if r.Took > time.Minute || told < 2 {
		t.Errorf("ended after %s, %d reports", r.Took, told)
	}
}

// What is no export protocol is left out and counted.
func TestCapture_leavesOutWhatItCannotRead(t *testing.T) {
	c := NewCapture()
	source := netip.MustParseAddrPort("192.0.2.1:1000")
	for _, payload := range [][]byte{nil, {0, 9}, make([]byte, 20), slices.Repeat([]byte{0, 9}, 9),
		slices.Repeat([]byte{0xff}, 64),
		append([]byte{0, 0, 0, 5, 0, 0, 0, 3}, make([]byte, 40)...),
		append([]byte{0, 0, 0, 5, 0, 0, 0, 2}, make([]byte, 20)...)} {
		c.Add(exporter.Datagram{Payload: payload, Source: source})
	}
	equal(t, "left out", c.Skipped(), 7)
	equal(t, "kept", c.Datagrams(), 0)
}

func FuzzCapture(f *testing.F) {
	for _, p := range protocols() {
		o := gen.Options{Protocol: p, Flows: 20, Start: captured, Sampling: 10}
		if err := gen.Each(o,
			func(d exporter.Datagram) error { f.Add(slices.Clone(d.Payload), int64(1e12)); return nil }); err != nil {
			f.Fatal(err)
		}
	}
	source := netip.MustParseAddrPort("192.0.2.1:1000")
	f.Fuzz(func(_ *testing.T, payload []byte, now int64) {
		c := NewCapture()
		for range 2 { // the second time its own templates are known
			c.Add(exporter.Datagram{Payload: payload, Source: source})
		}
		for i := range c.datagrams {
			c.datagrams[i].rewrite(now, c.beganAt(now))
		}
	})
}

func run(t *testing.T, c *Capture, o Options) Result {
	t.Helper()
	r, err := Run(context.Background(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed > 0 {
		t.Errorf("the kernel did not take %d datagrams", r.Failed)
	}
	return r
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// A capture whose flows cannot be counted, as their template is missing, is sent at the rate too: a datagram counts as
// one flow then. What is asserted is what was due at most, not how fast this host is.
func TestRun_rateWithoutFlows(t *testing.T) {
	c := NewCapture()
	datagram := []byte{0, 10, 0, 20, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 44, 0, 4} // a data set of template 300
	c.Add(exporter.Datagram{Payload: datagram, Source: netip.MustParseAddrPort("192.0.2.1:1000")})
	equal(t, "kept", c.Datagrams(), 1)
	to, wait := collector(t, "127.0.0.1:0")
	defer wait()
	r := run(t, c, Options{To: to, Rate: 20, Duration: 300 * time.Millisecond})
	if most := 1 + int(20*(r.Took+maxBehind).Seconds()); r.Datagrams == 0 || r.Datagrams > most {
		t.Errorf("%d datagrams in %s, at most %d were due", r.Datagrams, r.Took, most)
	}
}

func TestRun_saysThatNobodyListens(t *testing.T) {
	c := generated(t, gen.Options{Protocol: flow.NetFlowV5, Flows: 1000})
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to := socket.LocalAddr().(*net.UDPAddr).AddrPort()
	if err := socket.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), c, Options{To: to, Loops: 100, DatagramRate: 20_000})
	if err != nil {
		t.Fatal(err)
	}
	if r.Refused == 0 || r.Refused > r.Failed {
		t.Errorf("%d datagrams refused, %d failed", r.Refused, r.Failed)
	}
}
