package clickhouse

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/metranova/flow-collector/sink/spool"
	"github.com/metranova/flow-collector/sink/store"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

// While the server is down only what is oldest on disk is tried: live inserts are held, also where they find no room on
// disk.
func TestLiveInsertsAreHeldWhileTheServerIsDown(t *testing.T) {
	f, broken := switchable(t, func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) })
	sp, err := spool.Open(spool.Options{Dir: t.TempDir(), MaxBytes: 4000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sp.Close() })
	w := NewWriter(f.open(t), withSpool(sp))
	w.Enqueue(insertOf("first"))
	until(t, "it is on disk, and the server counts as down",
		func() bool { return w.Stats().Spool.Waiting.Entries == 1 && w.Down() })
	before := len(f.got())
	for i := range 3 {
		live := insertOf(fmt.Sprint(i))
		live.Data, live.Fills = bytes.Repeat([]byte{'x'}, 8000), nil // more than the disk may hold
		w.Enqueue(live)
	}
	until(t, "the server is asked often, and the disk refuses",
		func() bool { return len(f.got()) > before+20 && w.Stats().Spool.Failed.Entries > 3 })
	for _, in := range f.got()[before:] {
		if in.token != "first" {
			t.Errorf("%q was tried while the server is down", in.token)
		}
	}
	broken.Store(false)
	until(t, "all are delivered", func() bool { return w.Stats().Delivered.Inserts == 4 })
	closeWriter(t, w)
}

// What was tried and may be stored goes before everything else on disk, so that the server still knows its token.
func TestWhatWasTriedGoesFirstOnDisk(t *testing.T) {
	gate := make(chan struct{})
	var broken atomic.Bool
	broken.Store(true)
	f := newFakeServer(t, nil)
	f.answer = func(n int, w http.ResponseWriter, r *http.Request) {
		f.store(n, r)
		if n == 0 {
			<-gate
		}
		if broken.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
	o := withSpool(openSpool(t, t.TempDir()))
	o.QueueBytes = 40 // 8 each, and half of them may wait in memory
	w := NewWriter(f.open(t), o)
	w.Enqueue(insertOf("tr"))
	underWay(f, 1)
	for i := range 4 {
		w.Enqueue(insertOf(fmt.Sprintf("l%d", i)))
	}
	until(t, "some went to disk before it", func() bool { return w.Stats().Spooled.Inserts >= 2 })
	close(gate)
	until(t, "it is on disk too", func() bool { return w.Stats().Spooled.Inserts == 5 })
	tried := len(f.got())
	broken.Store(false)
	until(t, "all are delivered", func() bool { return w.Stats().Delivered.Inserts == 5 })
	closeWriter(t, w)
	var order []string
	for _, in := range f.got()[1:] {
		if !slices.Contains(order, in.token) {
			order = append(order, in.token)
		}
	}
	if tried == 0 || order[0] != "tr" {
		t.Errorf("tried in the order %v, want the one that may be stored first", order)
	}
}

// A kill of the engine while it inserts can leave the rows in the table and not in a view: each has a part of its own,
// and they are not committed together. The same insert, sent again with its token, stores what is missing and nothing
// twice.
func TestEngineKilledBetweenTableAndView(t *testing.T) {
	s := storetest.Supervise(t, store.Options{})
	conn, err := Open(t.Context(), Options{Addrs: []string{s.URL()[len("http://"):]}, Database: "flows",
		CreateDatabase: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	const remembers = " SETTINGS non_replicated_deduplication_window = 100"
	run(t, conn, createFlow, "CREATE TABLE summed (bits UInt64) ENGINE = MergeTree ORDER BY tuple()"+remembers,
		"CREATE MATERIALIZED VIEW summed_mv TO summed AS SELECT sum(bit_count) AS bits FROM data_flow WHERE NOT "+
			"sleepEachRow(3)")

	const rows = 1
	block := days(t, rows)
	failed := make(chan error, 1)
	send := func() error {
		_, err := InsertOnce(t.Context(), conn, flowQuery, "token", block)
		return err
	}
	go func() { failed <- send() }()
	until(t, "the table has the rows", func() bool { return number(t, conn, "SELECT count() FROM data_flow") == rows })
	if got := number(t, conn, "SELECT sum(bits) FROM summed"); got != 0 {
		t.Skip("the view was as fast as the table")
	}
	if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err == nil {
		t.Fatal("the insert succeeded though the engine was killed")
	}
	until(t, "the engine is back", func() bool { return conn.Ping(t.Context()) == nil })
	table, view := number(t, conn, "SELECT sum(bit_count) FROM data_flow"),
		number(t, conn, "SELECT sum(bits) FROM summed")
	if table != rows*8 || view != 0 {
		t.Errorf("after the kill the table has %d bits and the view %d, want %d and none", table, view, rows*8)
	}
	until(t, "it is sent again", func() bool { return send() == nil })
	table, view = number(t, conn, "SELECT sum(bit_count) FROM data_flow"),
		number(t, conn, "SELECT sum(bits) FROM summed")
	if table != rows*8 || view != rows*8 {
		t.Errorf("after the same insert again the table has %d bits and the view %d, want %d in both", table, view,
			rows*8)
	}
}
