package explore

import (
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/metranova/flow-collector/collector/explore/filter"
)

// Volumes are bytes of a step, and all figures agree with the rates.
func testVolume(t *testing.T, e *Explorer) {
	const rest = "&from=2026-03-05T11:00&to=2026-03-05T12:00"
	rates, volumes := ask(t, e, "by=src.as"+rest), ask(t, e, "by=src.as&unit=volume"+rest)
	for i := range rates.Series {
		a, b := rates.Series[i], volumes.Series[i]
		factor := rates.Step.Seconds() / 8
		if b.Total != a.Total || math.Abs(b.Max-a.Max*factor)+math.Abs(b.Points[3]-a.Points[3]*factor) > 1e-6 ||
			b.Share != a.Share {
			t.Errorf("%s: %+v, and as volume %+v", a.Label(), a.Stats, b.Stats)
		}
		if got := Volume.Amount(b.Total); i == 0 && got != "180 kB" {
			t.Errorf("the volume is %s", got)
		}
	}
	hours := ask(t, e, "view=hours&unit=volume"+rest)
	if got := hours.Days[0].Hours[11]; got != 360*1000 {
		t.Errorf("an hour has %g bytes", got)
	}
	if a := ask(t, e, "view=both&unit=volume&before=day"+rest); a.Sum().Total != 360*8000 {
		t.Errorf("%g bits", a.Sum().Total)
	}
}

// Single flows are listed as they are, the largest first.
func testFlows(t *testing.T, e *Explorer) {
	a := ask(t, e, "view=flows&top=3&from=2026-03-05T11:30&to=2026-03-05T11:31")
	if len(a.Flows) != 3 || a.Table() != "data_flow" {
		t.Fatalf("%+v of %s", a.Flows, a.Query.Source.Line())
	}
	f := a.Flows[0]
	if f.Source != (End{"192.0.2.7", 50000, "AS64500", "UNI-A"}) || f.Dest.Label() != "203.0.113.0:443" ||
		f.In != "r1::up" || f.Bytes != 3000 || f.Packets != 30 || !f.From.Equal(noon.Add(-30*time.Minute)) {
		t.Errorf("%+v", f)
	}
	if got := a.Flows[1].Source.Label(); got != "[2001:db8::ffff:7]:50000" {
		t.Errorf("an end of IPv6 is %s", got)
	}
	// The rows have their own times: none of before or after those that are asked for, and no step.
	for address, want := range map[string]int{"from=2026-03-05T11:30:00&to=2026-03-05T11:30:01": 3,
		"from=2026-03-05T11:30:01&to=2026-03-05T11:30:59": 0, "from=2026-03-05T11:29:59&to=2026-03-05T11:30:00": 0,
		"from=2026-03-05T11:00:30&to=2026-03-05T11:59:30": 59 * 3} {
		a := ask(t, e, "view=flows&top=50&"+address)
		if len(a.Flows) != min(want, 50) || a.Widened || !a.To.Equal(a.Question.To) || !a.From.Equal(a.Question.From) {
			t.Errorf("%s: %d flows from %s to %s", address, len(a.Flows), a.From, a.To)
		}
		var text strings.Builder
		if err := a.Print(&text); err != nil || strings.Contains(text.String(), "steps of") ||
			!strings.Contains(text.String(), a.From.Format(time.TimeOnly)) {
			t.Errorf("%v: %s", err, text.String())
		}
	}
	a = ask(t, e, "view=flows&unit=flows&from=2026-03-05T11:00&to=2026-03-05T12:00&filter=src.as+%3D+64501")
	if len(a.Flows) != 8 || !a.Flows[0].From.Equal(noon.Add(-time.Minute)) || a.Flows[0].Source.AS != "AS64501" {
		t.Errorf("the latest are %+v", a.Flows)
	}
	q := a.Question
	q.Filter, q.View = a.Flows[0].Condition(), Table
	if b, err := e.Ask(t.Context(), q); err != nil || len(b.Series) != 1 {
		t.Errorf("%s: %v", q.Filter, err)
	}
	q = a.Question
	q.Only = []string{"comm:lhcone"}
	if b, err := e.Ask(t.Context(), q); err != nil || len(b.Flows) != 0 {
		t.Errorf("flows of another scope are listed: %+v, %v", b, err)
	}
}

// Losses are told by exporter and reason, with their part of what that exporter sent.
func testLost(t *testing.T, e *Explorer) {
	a := ask(t, e, "view=losses&from=2026-03-05T11:00&to=2026-03-05T12:00")
	if len(a.Lost) != 1 {
		t.Fatalf("%+v", a.Lost)
	}
	l := a.Lost[0]
	if l.Exporter != "192.0.2.1" || l.Count != 7 || l.Label() != "datagrams (kernel: receive buffer)" ||
		l.Points[10] != 7 ||
		l.Share < 0.065 || l.Share > 0.066 || !l.First.Equal(noon.Add(-50*time.Minute)) {
		t.Errorf("%+v", l)
	}
	// Losses are counted by the minute: those of some of its seconds are those of the minute.
	a = ask(t, e, "from=2026-03-05T11:10:20&to=2026-03-05T11:10:30&view=flows")
	found, err := e.Losses(t.Context(), a)
	if err != nil || len(found.Missing) != 1 || found.Missing[0].Count != 7 {
		t.Errorf("%+v, %v", found, err)
	}
}

// An empty answer says why, and leads to one that is not.
func testNothing(t *testing.T, e *Explorer) {
	for address, want := range map[string]struct{ text, filter string }{
		"from=2026-03-05T11:00&to=2026-03-05T12:00&filter=proto+%3D+gre": {"passes the filter", ""},
		"from=2025-01-01&to=2025-01-02&filter=proto+%3D+gre":             {"The oldest flow", "proto = gre"},
		"from=2026-03-05T12:00&to=2026-03-05T13:00": {"The last flow began at 2026-03-05 11:59",
			""},
		"view=losses&from=2026-03-05T12:00&to=2026-03-05T13:00": {"no losses", "none"},
	} {
		a := ask(t, after(e, time.Hour), address)
		if !a.Empty() {
			t.Errorf("%s is not empty", address)
		}
		n, err := e.Nothing(t.Context(), a)
		if err != nil || !strings.Contains(n.Text, want.text) {
			t.Errorf("%s: %+v, %v", address, n, err)
			continue
		}
		if (n.Instead == nil) != (want.filter == "none") || n.Instead != nil && n.Instead.Filter != want.filter {
			t.Errorf("%s leads to %+v", address, n.Instead)
		}
	}
	// Who may see some scopes is not told when flows of others began.
	for _, end := range []time.Time{noon, noon.AddDate(-1, 0, 0)} {
		q := Question{Unit: Bits, View: Table, Top: 5, From: end.Add(-time.Hour), To: end, Only: []string{"none"}}
		a, err := e.Ask(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := e.Nothing(t.Context(), a); err != nil || !strings.Contains(n.Text, "policy scope") {
			t.Errorf("%+v, %v", n, err)
		}
	}
	for by, want := range map[string]string{"out.circuit": "Circuit out is not known of any flow here. It comes with " +
		"interfaces", "dst.country": "It comes with prefixes", "src.country": "",
		"dst.sci.project": "Science Registry"} {
		got := ask(t, e, "from=2026-03-05T11:00&to=2026-03-05T12:00&by="+by).Unknown()
		if !strings.Contains(got, want) || (want == "") != (got == "") {
			t.Errorf("by %s: %q", by, got)
		}
	}
}

// A rollup that is filled in part answers for the time that it has, and the rows for the rest; ten thousand values are
// a few lines and all others.
func testOdd(t *testing.T, e *Explorer) {
	whole := *e.Planner.sources.Load()
	part := slices.Clone(whole)
	for i := range part {
		if part[i].Step > 0 {
			part[i].From = noon.Add(-30 * time.Minute)
		}
	}
	e.Planner.SetSources(part)
	const address = "unit=flows&by=src.as&from=2026-02-20&to=2026-03-06"
	a := ask(t, e, address)
	e.Planner.SetSources(whole)
	b := ask(t, e, address)
	if lines(a, 1) != lines(b, 1) || a.Table() != "data_flow" || b.Table() == "data_flow" ||
		!strings.Contains(a.Query.Source.Line(), "rollup_edge_src_as_1h") {
		t.Errorf("half filled: %s from %s; filled: %s from %s", lines(a, 1), a.Query.Source.Line(), lines(b, 1),
			b.Table())
	}
	const many = `INSERT INTO explored.data_flow (start_time, end_time, flow_type, src_ip, src_as_id, src_port,
		protocol, bit_count, packet_count)
		SELECT toDateTime64('2026-03-02 11:00:00', 3, 'UTC') AS t, t, 'netflow',
			toIPv6(concat('2001:db8::', hex(number))), number, number, toString(number), 8000 + number, 1
		FROM numbers(10000)`
	if err := e.Conn.Exec(t.Context(), many); err != nil {
		t.Fatal(err)
	}
	for _, by := range []string{"src.ip", "src.as", "src.port", "proto", "src.ip,src.port", "ip", "app"} {
		a := ask(t, e, "by="+by+"&unit=packets&top=5&from=2026-03-02T10:30&to=2026-03-02T11:30")
		all := 0.0
		for _, s := range a.Series {
			all += s.Total
		}
		if by != "ip" && (len(a.Series) != 6 || all != 10000 || a.Series[5].Total != 9995) {
			t.Errorf("by %s: %d lines, %g packets in all", by, len(a.Series), all)
		}
	}
	if a := ask(t, e,
		"by=src.ip,src.port&view=sankey&unit=packets&top=5&from=2026-03-02T10:30&to=2026-03-02T11:30"); len(
		a.Links) > 36 {
		t.Errorf("a sankey of %d links", len(a.Links))
	}
	if err := e.Conn.Exec(t.Context(), "ALTER TABLE explored.data_flow DROP PARTITION ID '20260302'"); err != nil {
		t.Error(err)
	}
}

// The store says how far it is with a question, of none that is over.
func testProgress(t *testing.T, e *Explorer) {
	ctx, cancel := context.WithCancel(WithID(t.Context(), "SLOW"))
	ended := make(chan error)
	go func() {
		// The query of a question has its id as every other one.
		rows, err := e.Conn.Query(chgo.Context(ctx, chgo.WithSettings(e.limits(idOf(ctx)))),
			"SELECT sum(sleepEachRow(0.01)) FROM numbers(1000) SETTINGS max_block_size = 10, max_threads = 1")
		if err == nil {
			for rows.Next() {
			}
			err = rows.Err()
		}
		ended <- err
	}()
	deadline := time.Now().Add(time.Minute)
	for p := (Progress{}); p.Rows == 0; {
		var err error
		if p, err = e.Progress(t.Context(), "SLOW"); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatal("the store does not say how far it is")
		}
	}
	cancel()
	if err := <-ended; err == nil {
		t.Error("a question that nobody waits for is answered")
	}
	for p := (Progress{1, 1}); p != (Progress{}); { // it is cancelled, not only left alone
		var err error
		if p, err = e.Progress(t.Context(), "SLOW"); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatal("the store goes on with what nobody waits for")
		}
	}
}

// Questions only read: the store refuses anything else that is asked as they are.
func testOnlyReads(t *testing.T, e *Explorer) {
	ctx := chgo.Context(t.Context(), chgo.WithSettings(e.limits("")))
	for _, sql := range []string{"INSERT INTO explored.data_flow (protocol) VALUES ('x')",
		"DROP TABLE explored.meta_as", "TRUNCATE TABLE explored.data_flow"} {
		if err := e.Conn.Exec(ctx, sql); err == nil {
			t.Errorf("%s is done", sql)
		}
	}
}

// Each error has a sentence that helps, and the status of its kind.
func TestReason(t *testing.T) {
	exception := func(code int32) error { return &chgo.Exception{Code: code, Message: "words of the store"} }
	for _, test := range []struct {
		err  error
		code int
		text string
	}{
		{&filter.Error{Text: "expected a value"}, http.StatusBadRequest, "expected a value"},
		{Refused("by: what"), http.StatusBadRequest, "by: what"},
		{&Failure{"no store", http.StatusNotFound}, http.StatusNotFound, "no store"},
		{exception(codeTimeout), http.StatusGatewayTimeout, "shorter time"},
		{context.DeadlineExceeded, http.StatusGatewayTimeout, "in time"},
		{exception(codeMemory), http.StatusUnprocessableEntity, "more memory"},
		{exception(codeTooMuch), http.StatusUnprocessableEntity, "reads more rows"},
		{exception(codeTooMany), http.StatusServiceUnavailable, "answers others"},
		{exception(codeNotOpen), http.StatusServiceUnavailable, "not open yet"},
		{exception(codeUnknownTable), http.StatusServiceUnavailable, "not there yet"},
		{exception(codeNotKnown), http.StatusBadGateway, "http.explore_username"},
		{exception(codeNoRight), http.StatusBadGateway, "may not read"},
		{exception(47), http.StatusBadGateway, "words of the store"},
		{errors.New("connection refused"), http.StatusServiceUnavailable, "does not answer: connection refused"},
	} {
		if got := Status(test.err); got != test.code {
			t.Errorf("%v: status %d, want %d", test.err, got, test.code)
		}
		if got := Reason(test.err); !strings.Contains(got, test.text) {
			t.Errorf("%v: %s", test.err, got)
		}
	}
}

// A name cannot change what stands around it.
func TestShown(t *testing.T) {
	for text, want := range map[string]string{"plain": "plain", "a\x1b[31mb": "a\ufffd[31mb", "\u202eabc": "\ufffdabc",
		"<b>&\"'": "<b>&\"'", "مرحبا": "مرحبا", "👩‍🚀": "👩‍🚀", "a\nb": "a\ufffdb",
		strings.Repeat("é", 500): strings.Repeat("é", longestLabel-1) + "…"} {
		if got := Shown(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

// Where all flows are of the step that is not over, no rate is known, and the page says so.
func TestAnswer_OnlyPartial(t *testing.T) {
	a := &Answer{Partial: true, Series: []Series{{Rank: 1, Points: []float64{0, 0, 5}, Stats: Stats{Total: 15}}}}
	if !a.OnlyPartial() {
		t.Error("a rate is known")
	}
	a.Series[0].Points[1] = 1
	if a.OnlyPartial() || (&Answer{Partial: true}).OnlyPartial() {
		t.Error("no rate is known")
	}
}
