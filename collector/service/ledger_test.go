package service

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/ledger"
	"github.com/metranova/flow-collector/collector/listen"
	"github.com/metranova/flow-collector/collector/pipeline"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/tally"
)

// faulty is a connection to the real engine whose inserts fail in the way that a test says.
type faulty struct {
	driver.Conn
	fault atomic.Pointer[func() error] // nil or returning nil: none
}

func (c *faulty) InsertFormat(ctx context.Context, format, query string, r io.Reader) error {
	if fault := c.fault.Load(); fault != nil {
		if err := (*fault)(); err != nil {
			return err
		}
	}
	return c.Conn.InsertFormat(ctx, format, query, r)
}

func (c *faulty) set(fault func() error) { c.fault.Store(&fault) }

// captureDay is the day of the captures in bench/testdata. A test that feeds them runs its clock from there, so that it
// does not depend on today's date.
var captureDay = time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)

// bench is a collector with real sockets, a real engine, and faults between.
type bench struct {
	t         *testing.T
	s         *service
	conn      *faulty
	worker    *pipeline.Worker
	listener  *listen.Worker
	collected time.Time         // the clock: it moves one second with each call of send
	sent      map[string]uint64 // datagrams, by source
	reached   uint64            // of all
}

// newBench is one run of a collector whose clock begins at begin. Its spool is that of the run before.
func newBench(t *testing.T, cfg *config.Config, begin time.Time, change func(*clickhouse.WriterOptions)) *bench {
	t.Helper()
	all := newOutputs(cfg)
	if err := all.openSpools(cfg, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	listeners, err := listen.Open(listen.Options{
		Addresses: []string{"127.0.0.1:0"}, Workers: 1, ReceiveBuffer: 8 << 20,
		Allowed: []netip.Prefix{netip.MustParsePrefix("127.7.0.0/16")},
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := newService(cfg, "test", zap.NewNop(), all, &intake{listeners: listeners})
	if err != nil {
		t.Fatal(err)
	}
	closed := all.close(t.Context())
	_, made := s.database.makeTables(t.Context())
	if err := errors.Join(closed, made); err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, s: s, conn: &faulty{Conn: s.database.conn}, listener: listeners[0], collected: begin,
		sent: map[string]uint64{}}
	o := setup.ClickHouseSinkOptions(cfg,
		setup.Parts{Log: zap.NewNop(), Run: rand.Text(), Settings: s.database.settings})
	o.WriterOptions = clickhouse.WriterOptions{
		QueueBytes: 64 << 20, Inserters: 1, RetryMin: time.Millisecond, RetryMax: 5 * time.Millisecond,
		ConfigurationRetry: time.Millisecond,
		Spool:              all[0].spool, SpoolAfter: time.Nanosecond, Book: all[0].book,
	}
	change(&o.WriterOptions)
	all[0].sink = clickhouse.NewSink(b.conn, o)
	b.worker = s.workers.add(pipeline.Options{Sinks: all.batchers(sink.BatcherOptions{}, nil)})
	return b
}

// send sends datagrams from an address and takes them through the worker. They are received a second of the bench's
// clock after those of the last call, whatever the kernel's clock says.
func (b *bench) send(source string, payloads ...[]byte) {
	b.t.Helper()
	from := &net.UDPAddr{IP: net.ParseIP(source)}
	to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(b.listener.Addresses()[0]))
	socket, err := net.DialUDP("udp4", from, to)
	if err != nil {
		b.t.Fatal(err)
	}
	defer socket.Close()
	for _, p := range payloads {
		if _, err := socket.Write(p); err != nil {
			b.t.Fatal(err)
		}
		b.sent[source]++
		b.reached++
	}
	b.collected = b.collected.Add(time.Second)
	for quiet := 0; quiet < 2; {
		datagrams, err := b.listener.Receive(20 * time.Millisecond)
		if err != nil {
			b.t.Fatal(err)
		}
		if len(datagrams) == 0 {
			quiet++
		}
		for i := range datagrams {
			datagrams[i].Received = b.collected.UnixNano()
		}
		b.worker.Process(datagrams, b.collected)
	}
}

// settled waits until no row waits in memory.
func (b *bench) settled() tally.Account {
	b.t.Helper()
	b.worker.Flush()
	testkit.WaitFor(b.t, "all rows to settle", func() bool { return b.s.outputs[0].book.Total().Waiting == 0 })
	return b.s.outputs[0].book.Total()
}

// end ends the run.
func (b *bench) end() {
	b.t.Helper()
	if err := b.s.finish(context.Background()); err != nil {
		b.t.Error(err)
	}
	b.listener.Free()
}

// exporterOf is what a ledger says of one exporter, all protocols and domains together.
type exporterOf map[string]uint64

// byExporter are the ledger's counts by exporter: stage/what/reason.
func byExporter(l *ledger.Ledger) map[string]exporterOf {
	all := map[string]exporterOf{}
	columns := l.Columns()
	for _, s := range l.Series() {
		name := s.Stream.Exporter.String()
		if all[name] == nil {
			all[name] = exporterOf{}
		}
		for i, n := range s.Counts {
			c := &columns[i]
			all[name][c.Stage+"/"+c.What+"/"+c.Reason] += n
		}
	}
	return all
}

// rows is what became of an exporter's rows, but for those in memory.
func (e exporterOf) rows() (n uint64) {
	for what, count := range e {
		if strings.HasPrefix(what, "sink/lost/") || strings.HasPrefix(what, "sink/quarantined/") ||
			what == "sink/delivered/" {
			n += count
		}
	}
	return n
}

// balances adds the ledger up: what was sent is what is accounted for.
func (b *bench) balances() {
	b.t.Helper()
	all := byExporter(b.s.accounts.ledger)
	accounts, _ := b.s.outputs[0].book.Accounts()
	onDisk := map[string]uint64{}
	for key, a := range accounts {
		onDisk[key.Exporter.String()] += a.OnDisk
		if a.Taken+a.Found != a.Out() {
			b.t.Errorf("the account of %v does not balance: %+v", key, a)
		}
	}
	// Datagrams: received = dropped by the kernel + refused + of no protocol + of each exporter.
	datagrams := uint64(0)
	for _, n := range b.s.accounts.ledger.Unattributed() {
		datagrams += n
	}
	for name, e := range all {
		datagrams += e["received/datagrams/"]
		// Rows: records + found on disk = delivered + on disk + lost + quarantined; all else is in the block or the
		// queue.
		if in, out := e["received/records/"]+e["sink/found/"], e.rows()+onDisk[name]; in != out {
			b.t.Errorf("%s: %d records and rows of the run before, %d are accounted for: %v", name, in, out, e)
		}
		// Sets: held = recovered + given up.
		if held, out := e["hold/held/"], e["hold/recovered/"]+e["decode//no_template"]; held != out {
			b.t.Errorf("%s: %d sets held, %d are accounted for", name, held, out)
		}
	}
	if datagrams != b.reached {
		b.t.Errorf("%d datagrams were sent, %d are accounted for", b.reached, datagrams)
	}
}

// v9Data is a NetFlow v9 datagram of one data set, with records of 4 bytes of a template that v9Template defines.
func v9Data(domain uint32, template uint16, records int) []byte {
	b := v9Header(domain)
	b = binary.BigEndian.AppendUint16(b, template)
	b = binary.BigEndian.AppendUint16(b, uint16(4+4*records))
	return append(b, bytes.Repeat([]byte{0, 0, 0, 100}, records)...)
}

// v9Template defines records of IN_BYTES in 4 bytes.
func v9Template(domain uint32, template uint16) []byte {
	b := v9Header(domain)
	for _, n := range []uint16{0, 12, template, 1, 1, 4} {
		b = binary.BigEndian.AppendUint16(b, n)
	}
	return b
}

func v9Header(domain uint32) []byte {
	b := []byte{0, 9, 0, 1, 0, 0, 0, 9}
	b = binary.BigEndian.AppendUint32(b, uint32(captureDay.Unix()))
	b = binary.BigEndian.AppendUint32(b, 1)
	return binary.BigEndian.AppendUint32(b, domain)
}

func rejected() error { return &chgo.Exception{Code: 117, Message: "INCORRECT_DATA"} }

func away() error { return &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")} }

// Known input goes through every fault, and all of it is accounted for.
func TestLedgerBalances(t *testing.T) {
	cfg := testkit.Config(t, "CLICKHOUSE_FLOW_TTL=", "CLICKHOUSE_FLOW_MV_BY_EDGE_AS=",
		"CLICKHOUSE_FLOW_MV_BY_INTERFACE=",
		"CLICKHOUSE_FLOW_MV_BY_IP_VERSION=")
	v5, v9 := testkit.Payloads(t, "softflowd-v5"), testkit.Payloads(t, "softflowd-v9")
	ipfix, sflow := testkit.Payloads(t, "softflowd-ipfix"),
		testkit.Payloads(t, "sfprobe")
	first := newBench(t, cfg, captureDay, func(*clickhouse.WriterOptions) {})

	// All is well: 140, 230 and 230 records, and 112 samples, whose agent is 198.51.100.31.
	first.send("127.7.0.1", v5...)
	first.send("127.7.0.2", v9...)
	first.send("127.7.0.1", ipfix...)
	first.send("127.7.0.3", sflow...)
	if got := first.settled(); got.Delivered != 712 {
		t.Errorf("%d rows delivered, want 712", got.Delivered)
	}
	// Exporters that may not send, garbage, datagrams cut in their header, sets that are cut.
	first.send("127.8.0.1", v5...)
	first.send("127.7.0.4", []byte("garbage that is no flow export"), []byte{0}, v9[0][:10])
	cut := v9Data(3, 300, 5)
	binary.BigEndian.PutUint16(cut[22:], 4+4*50)
	first.send("127.7.0.4", cut)
	// Templates that come late (3 and 2 records) or never (7).
	first.send("127.7.0.5", v9Data(1, 260, 3), v9Data(1, 260, 2), v9Data(2, 260, 7))
	first.send("127.7.0.5", v9Template(1, 260))
	if got := first.settled(); got.Taken != 712+5 || got.Delivered != 712+5 {
		t.Errorf("%+v, want 5 rows more", got)
	}
	first.worker.Tick(first.collected.Add(2 * time.Minute))
	// The server refuses rows for good.
	first.conn.set(rejected)
	first.send("127.7.0.1", v5...)
	first.send("127.7.0.2", v9...)
	became := first.settled()
	if gone := became.Out() - became.Delivered; gone != 370 {
		t.Errorf("%d rows lost or quarantined, want 370: %+v", gone, became)
	}
	// The server is away: rows go to disk, and stay there when the collector ends.
	first.conn.set(away)
	for range 3 {
		first.send("127.7.0.2", v9...)
		first.send("127.7.0.3", sflow...)
		first.settled()
	}
	testkit.WaitFor(t, "all rows to be on disk", func() bool { // which is said after they are synced
		got := first.s.outputs[0].book.Total()
		return got.OnDisk == 3*342 && got.Spooled == got.OnDisk
	})
	first.worker.Finish()
	first.balances()
	apart := first.s.accounts.ledger.Unattributed()
	for what, want := range map[ledger.Unattributed]uint64{
		{Stage: ledger.Filter, Reason: "allowed_exporters", From: "127.8.0.1"}: uint64(len(v5)),
		{Stage: ledger.Decode, Reason: "unknown_version"}:                      1,
		{Stage: ledger.Decode, Reason: "truncated"}:                            2,
	} {
		if apart[what] != want {
			t.Errorf("%v: %d, want %d", what, apart[what], want)
		}
	}
	of := byExporter(first.s.accounts.ledger)
	for what, want := range map[string]uint64{"hold/held/": 3, "hold/recovered/": 2, "decode//no_template": 1,
		"received/records/": 5} {
		if got := of["127.7.0.5"][what]; got != want {
			t.Errorf("%s is %d, want %d", what, got, want)
		}
	}
	if got := of["127.7.0.4"]["decode//bad_set"]; got != 1 {
		t.Errorf("%d bad sets, want 1", got)
	}
	if got := of["127.7.0.1"]; got["received/datagrams/"] != first.sent["127.7.0.1"] || got["sink/delivered/"] != 370 ||
		got.rows() != 370+140 {
		t.Errorf("127.7.0.1: %v", got)
	}
	first.end()

	// The next run delivers what the one before left; rows that find no room in memory are lost.
	hold := make(chan struct{})
	second := newBench(t, cfg, captureDay, func(o *clickhouse.WriterOptions) { o.Spool, o.QueueBytes = nil, 150_000 })
	second.conn.set(func() error { <-hold; return nil })
	for range 10 {
		second.send("127.7.0.1", v5...)
		second.worker.Flush()
	}
	close(hold)
	became = second.settled()
	if became.Found != 3*342 || became.Lost["queue_full"] == 0 || became.Delivered == 0 ||
		became.Delivered+became.Lost["queue_full"] != 1400 {
		t.Errorf("of 1400 rows: %+v", became)
	}
	second.balances()
	second.end()
	third := newBench(t, cfg, captureDay, func(*clickhouse.WriterOptions) {})
	testkit.WaitFor(t, "the spool to be empty", func() bool { return third.s.outputs[0].book.Total().OnDisk == 0 })
	third.balances()
	for name, want := range map[string]uint64{"127.7.0.2": 3 * 230, "198.51.100.31": 3 * 112} {
		if got := byExporter(third.s.accounts.ledger)[name]; got["sink/found/"] != want ||
			got["sink/delivered/"] != want {
			t.Errorf("%s: %v, want %d found and delivered", name, got, want)
		}
	}
	third.end()

	// What the three runs say was delivered is what the table has.
	got := map[string]uint64{}
	for line := range strings.Lines(testkit.Ask(t, cfg, "SELECT device_id, count() FROM data_flow GROUP BY 1")) {
		var name string
		var n uint64
		if _, err := fmt.Sscan(line, &name, &n); err != nil {
			t.Fatal(err)
		}
		got[name] = n
	}
	want := map[string]uint64{}
	for _, b := range []*bench{first, second, third} {
		accounts, _ := b.s.outputs[0].book.Accounts()
		for key, a := range accounts {
			want[key.Exporter.String()] += a.Delivered
		}
	}
	if len(got) != 4 || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the table has %v, the ledger says %v", got, want)
	}
}

// Streams beyond those with an account are counted together, and none is counted twice when one takes another's
// place.
func TestLedgerOfMoreStreamsThanItTellsApart(t *testing.T) {
	key := func(n int) flow.StreamKey {
		return flow.StreamKey{Exporter: flow.AddrFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(n)})),
			Protocol: flow.IPFIX}
	}
	book := &tally.Book{}
	l := ledger.New(ledger.Options{Sinks: []ledger.Sink{{Name: "clickhouse", Book: book,
		Reasons: []string{"queue_full"}}}, MaxStreams: 3})
	for n := range 10 {
		book.Take([]tally.Share{{Stream: key(n), Rows: 10}})
	}
	series := l.Series()
	total := uint64(0)
	for _, s := range series {
		for i, c := range l.Columns() {
			if c.What == ledger.Taken {
				total += s.Counts[i]
			}
		}
	}
	if len(series) != 4 || !series[0].Others() || total != 100 {
		t.Errorf("%d rows in %d series, want 100 in 4", total, len(series))
	}
}

// The table of losses has what came and what became of it; a graph can say how much of it is missing.
func TestLossTable(t *testing.T) {
	cfg := testkit.Config(t, "CLICKHOUSE_FLOW_TTL=", "COLLECTOR_ID=c1")
	b := newBench(t, cfg, captureDay, func(*clickhouse.WriterOptions) {})
	b.send("127.7.0.1", testkit.Payloads(t, "softflowd-v9")...)
	b.send("127.8.0.1", []byte("refused"))
	b.send("127.7.0.4", []byte("garbage that is no flow export"))
	b.settled()
	b.s.accounts.writeLosses(time.Now())
	b.s.outputs.awaitDelivery()
	b.conn.set(rejected)
	b.send("127.7.0.1", testkit.Payloads(t, "softflowd-v5")...)
	b.worker.Finish()
	b.settled()
	b.conn.set(func() error { return nil })
	b.s.accounts.settleLosses()
	b.s.accounts.writeLosses(time.Now().Add(time.Minute)) // nothing new but what became of nothing
	b.end()
	for _, table := range b.s.workers.exporters() {
		for _, stream := range table.Streams() {
			if ahead, behind := stream.Ahead.Load(), stream.Behind.Load(); ahead+behind > 0 {
				t.Errorf("%v: %d records ahead and %d behind the bench's clock, want none", stream.Key, ahead, behind)
			}
		}
	}
	got := testkit.Ask(t, cfg,
		"SELECT collector_id, exporter, device_id, flow_type, protocol, domain, stage, sink, what, reason, unit, "+
			"missing, sum(count) "+
			"FROM collector_loss WHERE unit != 'bytes' AND what != 'templates' GROUP BY ALL ORDER BY exporter, "+
			"protocol, stage DESC, what, reason")
	want := strings.Join([]string{
		"c1\t\t\t\t\t0\tdecode\t\t\tunknown_version\tdatagrams\ttrue\t1",
		"c1\t127.7.0.1\t127.7.0.1\tnetflow\tnetflow5\t0\tsink\tclickhouse\tlost\trejected\trows\ttrue\t140",
		"c1\t127.7.0.1\t127.7.0.1\tnetflow\tnetflow5\t0\tsink\tclickhouse\ttaken\t\trows\tfalse\t140",
		"c1\t127.7.0.1\t127.7.0.1\tnetflow\tnetflow5\t0\treceived\t\tdatagrams\t\tdatagrams\tfalse\t5",
		"c1\t127.7.0.1\t127.7.0.1\tnetflow\tnetflow5\t0\treceived\t\trecords\t\trecords\tfalse\t140",
		"c1\t127.7.0.1\t127.7.0.1\tnetflow\tnetflow9\t0\tsink\tclickhouse\tdelivered\t\trows\tfalse\t230",
		"c1\t127.7.0.1\t127.7.0.1\tnetflow\tnetflow9\t0\tsink\tclickhouse\ttaken\t\trows\tfalse\t230",
		"c1\t127.7.0.1\t127.7.0.1\tnetflow\tnetflow9\t0\treceived\t\tdatagrams\t\tdatagrams\tfalse\t10",
		"c1\t127.7.0.1\t127.7.0.1\tnetflow\tnetflow9\t0\treceived\t\toption_records\t\trecords\tfalse\t1",
		"c1\t127.7.0.1\t127.7.0.1\tnetflow\tnetflow9\t0\treceived\t\trecords\t\trecords\tfalse\t230",
		"c1\t127.8.0.1\t127.8.0.1\t\t\t0\tfilter\t\t\tallowed_exporters\tdatagrams\ttrue\t1",
	}, "\n")
	if got != want {
		t.Errorf("the table has\n%s\nwant\n%s", got, want)
	}
	missing := testkit.Ask(t, cfg,
		"SELECT round(100 * sumIf(count, missing AND unit = 'rows') / sumIf(count, what = 'records'), 1) FROM "+
			"collector_loss WHERE device_id = '127.7.0.1'")
	if missing != "37.8" { // 140 of 370
		t.Errorf("%s %% are missing, want 37.8", missing)
	}
}

// An exporter whose clock jumps about opens a few partitions only; its rows are there, with what it stated.
func TestOddClocksOpenFewPartitions(t *testing.T) {
	cfg := testkit.Config(t)
	b := newBench(t, cfg, time.Now(), func(*clickhouse.WriterOptions) {})
	template := v5Payload(t)
	const flows = 500
	for n := range flows {
		dg := bytes.Clone(template)
		binary.BigEndian.PutUint32(dg[8:], uint32(b.collected.AddDate(0, 0, n-flows/2).Unix()))
		binary.BigEndian.PutUint32(dg[16:], uint32(n))
		b.worker.Process([]exporter.Datagram{{
			Payload: dg, Source: netip.MustParseAddrPort("127.7.0.1:2055"), Received: b.collected.UnixNano(),
		}}, b.collected)
	}
	b.settled()
	clamped := b.worker.Decoder.Exporters().Streams()[0].Clamped.Load()
	b.end()
	got := testkit.Ask(t, cfg,
		"SELECT count(), countIf(ext.stated_start_ms IS NOT NULL), uniqExact(toDate(start_time)) < 32 FROM data_flow")
	if want := fmt.Sprintf("%d\t%d\ttrue", flows, clamped); got != want &&
		got != strings.Replace(want, "true", "1", 1) {
		t.Errorf("rows, stated times and few days: %s, want %s", got, want)
	}
	if clamped < flows/2 {
		t.Errorf("%d of %d records are counted as clamped, want all that are far off", clamped, flows)
	}
}

// v5Payload is a datagram of one flow: the first of a capture.
func v5Payload(t *testing.T) []byte {
	t.Helper()
	all := testkit.Payloads(t, "softflowd-v5")
	const header, record = 24, 48
	dg := bytes.Clone(all[0][:header+record])
	binary.BigEndian.PutUint16(dg[2:], 1)
	return dg
}
