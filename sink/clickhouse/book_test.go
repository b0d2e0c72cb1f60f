package clickhouse

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/sink/spool"
	"github.com/metranova/flow-collector/sink/tally"
)

func stream(n byte) flow.StreamKey {
	return flow.StreamKey{Exporter: flow.AddrFrom(netip.AddrFrom4([4]byte{192, 0, 2, n})), Protocol: flow.NetFlowV9}
}

// tallied is an insert of three rows of stream 1 and two of stream 2.
func tallied(token string) *Insert {
	ins := insertOf(token)
	var c tally.Counter
	for _, n := range []byte{1, 2, 1, 1, 2} {
		c.Add(stream(n))
	}
	ins.Rows, ins.Tally = 5, c.Take()
	return ins
}

// account is that of stream 2, and checks that stream 1 has the same in threes, and that the book balances.
func account(t *testing.T, b *tally.Book) tally.Account {
	t.Helper()
	accounts, other := b.Accounts()
	if diff := cmp.Diff(tally.Account{}, other); diff != "" {
		t.Error(diff)
	}
	two := accounts[stream(2)]
	if one := accounts[stream(1)]; one.Taken*2 != two.Taken*3 || one.Found*2 != two.Found*3 ||
		one.Delivered*2 != two.Delivered*3 || one.OnDisk*2 != two.OnDisk*3 {
		t.Errorf("stream 1 has %+v, stream 2 %+v", one, two)
	}
	if two.Taken+two.Found != two.Out() {
		t.Errorf("the account does not balance: %+v", two)
	}
	return two
}

func sameAccount(t *testing.T, got, want tally.Account) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(tally.Account{}, "Generation")); diff != "" {
		t.Error(diff)
	}
}

func TestBookOfARefusal(t *testing.T) {
	var n atomic.Int64
	f := newFakeServer(t, func(i int, w http.ResponseWriter, r *http.Request) {
		f := n.Add(1)
		if f == 2 {
			exception(w, 400, 117, "INCORRECT_DATA")
		}
	})
	o := fast()
	o.Book, o.Inserters = &tally.Book{}, 1
	w := NewWriter(f.open(t), o)
	for i := range 3 {
		w.Enqueue(tallied(fmt.Sprint(i)))
	}
	w.Enqueue(insertOf("of no exporter"))
	closeWriter(t, w)
	w.Enqueue(tallied("late"))
	sameAccount(t, account(t, o.Book), tally.Account{
		Taken: 8, Delivered: 4, Lost: map[string]uint64{"rejected": 2, "shutdown": 2},
	})
}

func TestBookOfAFullQueue(t *testing.T) {
	f, letGo := held(t)
	o := fast()
	o.Book, o.Inserters, o.QueueBytes = &tally.Book{}, 1, 25 // three blocks of 8 bytes, one of them under way
	w := NewWriter(f.open(t), o)
	w.Enqueue(tallied("00"))
	underWay(f, 1)
	for i := 1; i <= 4; i++ {
		w.Enqueue(tallied(fmt.Sprintf("%02d", i)))
	}
	sameAccount(t, account(t, o.Book), tally.Account{Taken: 10, Waiting: 6, Lost: map[string]uint64{"queue_full": 4}})
	letGo()
	closeWriter(t, w)
	sameAccount(t, account(t, o.Book), tally.Account{Taken: 10, Delivered: 6, Lost: map[string]uint64{"queue_full": 4}})
}

// What goes to disk is still known by exporter there, and by the next run.
func TestBookOverARestart(t *testing.T) {
	dir := t.TempDir()
	f, broken := switchable(t, func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) })
	conn := f.open(t)
	first := &tally.Book{}
	sp := bookedSpool(t, spool.Options{Dir: dir, MaxAge: time.Hour}, first)
	o := withSpool(sp)
	o.Book = first
	w := NewWriter(conn, o)
	for i := range 3 {
		w.Enqueue(tallied(fmt.Sprint(i)))
	}
	w.Enqueue(insertOf("of no exporter"))
	until(t, "all is on disk", func() bool { s := w.Stats(); return s.Spooled.Inserts == 4 && s.QueuedBytes == 0 })
	sameAccount(t, account(t, first), tally.Account{Taken: 6, OnDisk: 6, Spooled: 6})
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	_ = sp.Close()

	second := &tally.Book{}
	sp = bookedSpool(t, spool.Options{Dir: dir}, second)
	sameAccount(t, account(t, second), tally.Account{Found: 6, OnDisk: 6})
	o.Book, o.Spool = second, sp
	broken.Store(false)
	w = NewWriter(conn, o)
	until(t, "all is delivered", func() bool { return w.Stats().Delivered.Inserts == 4 })
	closeWriter(t, w)
	sameAccount(t, account(t, second), tally.Account{Found: 6, Delivered: 6})
}

func TestBookOfASpoolThatDrops(t *testing.T) {
	dir := t.TempDir()
	put := func(o spool.Options, book *tally.Book, tokens ...string) {
		t.Helper()
		sp := bookedSpool(t, o, book)
		for _, token := range tokens {
			ins := tallied(token)
			ins.shares = ins.Tally.Shares()
			book.Take(ins.shares)
			s := spooling{w: &Writer{options: WriterOptions{Book: book}.withDefaults()}, spool: sp}
			s.w.log.log = s.w.options.Log
			if !s.put(ins) {
				t.Fatal("not on disk")
			}
		}
		_ = sp.Close()
	}
	first := &tally.Book{}
	put(spool.Options{Dir: dir, SegmentBytes: 1}, first, "0", "1", "2")
	second := &tally.Book{}
	put(spool.Options{Dir: dir, SegmentBytes: 1, MaxBytes: 500}, second, "3")
	got := account(t, second)
	if got.Found != 6 || got.Taken != 2 || got.Lost["spool_full"] == 0 || got.OnDisk+got.Lost["spool_full"] != 8 {
		t.Errorf("got %+v", got)
	}
	third := &tally.Book{}
	synctest.Test(t, func(t *testing.T) { // in 2000, which the spool takes for no date: they age from when it is opened
		sp := bookedSpool(t, spool.Options{Dir: dir, MaxAge: time.Hour}, third)
		time.Sleep(2 * time.Hour)
		if _, ok := sp.Next(); ok {
			t.Error("an entry came that was too old")
		}
		_ = sp.Close()
	})
	sameAccount(t, account(t, third), tally.Account{Found: got.OnDisk,
		Lost: map[string]uint64{"spool_age": got.OnDisk}})
}

func bookedSpool(t *testing.T, o spool.Options, book *tally.Book) *spool.Spool {
	t.Helper()
	book.Keep(&o)
	sp, err := spool.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sp.Close() })
	return sp
}
