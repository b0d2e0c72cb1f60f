package clickhouse

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/native"
	"github.com/metranova/flow-collector/sink/quarantine"
	"github.com/metranova/flow-collector/sink/tally"
)

func TestJoin(t *testing.T) {
	sized := func(token string, bytes int, change ...func(*Insert)) *Insert {
		ins := &Insert{Query: "INSERT INTO a", Token: token, Rows: 1, Data: make([]byte, bytes)}
		for _, c := range change {
			c(ins)
		}
		return ins
	}
	of := func(stream byte) func(*Insert) {
		return func(ins *Insert) {
			ins.Tally = &tally.Tally{Streams: []flow.StreamKey{{Domain: uint32(stream)}}, Runs: []tally.Run{{Rows: 1}}}
		}
	}
	query := func(s string) func(*Insert) { return func(ins *Insert) { ins.Query = s } }
	apart := func(ins *Insert) { ins.Apart = true }
	tried := func(ins *Insert) { ins.tried = true }
	for _, c := range []struct {
		name    string
		waiting []*Insert
		want    string // the first insert's token, rows and bytes, and the tokens of the rest
	}{
		{"one", []*Insert{sized("a", 5)}, "a 1 5"},
		{"all", []*Insert{sized("a", 5), sized("b", 3), sized("c", 2)}, "a 3 10"},
		{"up to the limit", []*Insert{sized("a", 5), sized("b", 5), sized("c", 1)}, "a 2 10 c"},
		{"in order, whatever fits", []*Insert{sized("a", 5), sized("b", 6), sized("c", 1)}, "a 1 5 b c"},
		{"a large one", []*Insert{sized("a", 50), sized("b", 1)}, "a 1 50 b"},
		{"of another table", []*Insert{sized("a", 1), sized("b", 1, query("x")), sized("c", 1)}, "a 2 2 b"},
		{"apart", []*Insert{sized("a", 1), sized("b", 1, apart), sized("c", 1)}, "a 2 2 b"},
		{"those apart", []*Insert{sized("a", 1, apart), sized("b", 1), sized("c", 1, apart)}, "a 2 2 b"},
		{"tried", []*Insert{sized("a", 1), sized("b", 1, tried)}, "a 1 1 b"},
		{"after one that was tried", []*Insert{sized("a", 1, tried), sized("b", 1)}, "a 1 1 b"},
		{"with exporters", []*Insert{sized("a", 1, of(1)), sized("b", 1, of(2)), sized("c", 1)}, "a 2 2 c"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ins, rest := join{bytes: 10}.first(c.waiting)
			got := []string{fmt.Sprintf("%s %d %d", ins.Token, ins.Rows, ins.size())}
			for _, r := range rest {
				got = append(got, r.Token)
			}
			if got := strings.Join(got, " "); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if n := ins.Tally.Rows(); ins.Tally != nil && n != uint64(ins.Rows) {
				t.Errorf("exporters are known of %d rows", n)
			}
		})
	}
}

// While an insert is on its way, others wait and are sent as one, and every buffer is given back.
func TestWriterJoinsWhatWaits(t *testing.T) {
	f, letGo := held(t)
	o := fast()
	o.Inserters, o.JoinBytes, o.JoinPatience = 2, 1000, time.Hour
	released := make(chan string, 10)
	o.Release = func(p native.Packed) { released <- string(p.Data) }
	w := NewWriter(f.open(t), o)
	w.Enqueue(tallied("1"))
	underWay(f, 1)
	for _, token := range []string{"2", "3", "4"} {
		w.Enqueue(tallied(token))
	}
	letGo()
	closeWriter(t, w)
	got := f.got()
	if len(got) != 2 || got[1].token != "2" || got[1].data != "block 2block 3block 4" {
		t.Errorf("got %+v", got)
	}
	if s := w.Stats(); s.Delivered.Rows != 20 || s.Delivered.Inserts != 2 {
		t.Errorf("%+v", s)
	}
	var buffers []string
	for len(released) > 0 {
		buffers = append(buffers, <-released)
	}
	slices.Sort(buffers)
	if diff := cmp.Diff([]string{"blck 1", "blck 2", "blck 3", "blck 4"}, buffers); diff != "" {
		t.Error(diff)
	}
}

// An insert does not wait for ever for one that is on its way.
func TestWriterJoinsForAWhile(t *testing.T) {
	f, letGo := held(t)
	defer letGo()
	o := fast()
	o.Inserters, o.JoinBytes, o.JoinPatience = 2, 1000, time.Millisecond
	w := NewWriter(f.open(t), o)
	w.Enqueue(insertOf("1"))
	underWay(f, 1)
	w.Enqueue(insertOf("2"))
	underWay(f, 2)
	letGo()
	closeWriter(t, w)
}

// So it is of one that came before the other was on its way, but cannot be sent with it: nothing else comes.
func TestWriterJoinsForAWhile_cameBefore(t *testing.T) {
	f, letGo := held(t)
	defer letGo()
	ready := make(chan struct{})
	o := fast()
	o.Inserters, o.JoinBytes, o.JoinPatience, o.Ready = 2, 1000, 100*time.Millisecond, ready
	w := NewWriter(f.open(t), o)
	other := insertOf("2")
	other.Apart = true
	w.Enqueue(insertOf("1"))
	w.Enqueue(other)
	close(ready)
	underWay(f, 2)
	letGo()
	closeWriter(t, w)
}

// What a proxy does not take in one insert is joined less from then on.
func TestWriterJoinsLessForAProxy(t *testing.T) {
	one := bitsBlock(t, 1, 2)
	var f *fakeServer
	gate := make(chan struct{})
	f = newFakeServer(t, func(n int, w http.ResponseWriter, r *http.Request) {
		f.store(n, r)
		if <-gate; len(f.got()[n].data) > 3*len(one) {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
	})
	o := fast()
	o.Inserters, o.JoinBytes, o.JoinPatience = 1, 100*len(one), time.Hour
	w := NewWriter(f.open(t), o)
	enqueue := func() {
		w.Enqueue(&Insert{Query: flowQuery, Token: "a", Rows: 2, Data: one})
	}
	enqueue()
	underWay(f, 1)
	for range 4 {
		enqueue() // are joined, and cut in two
	}
	close(gate)
	until(t, "all is stored", func() bool { return w.Stats().Delivered.Rows == 10 })
	if got := w.queue.join.bytes; got != 2*len(one) {
		t.Errorf("%d bytes are joined, want half of what was too large, %d", got, 2*len(one))
	}
	closeWriter(t, w)
}

// The server makes one part of inserts that are sent as one, and finds the one bad row among them.
func TestEngineJoinedInserts(t *testing.T) {
	conn := engine(t, Options{})
	constrained(t, conn)
	o := fast()
	o.Quarantine = quarantine.New(quarantine.Options{Dir: t.TempDir()})
	w := NewWriter(conn, o)
	insert := func(token string, bits ...uint64) *Insert {
		return &Insert{Query: flowQuery, Token: token, Rows: len(bits), Data: bitsBlock(t, bits...)}
	}
	good := insert("good", 1, 2)
	good.add([]*Insert{insert("", 4), insert("", 8, 16, 32)})
	w.Enqueue(good)
	until(t, "the good one is stored", func() bool { return w.Stats().Delivered.Rows == 6 })
	if n := number(t, conn, "SELECT count() FROM system.parts WHERE active AND database = currentDatabase() "+
		"AND table = 'data_flow'"); n != 1 {
		t.Errorf("%d parts", n)
	}
	bad := insert("bad", 64)
	bad.add([]*Insert{insert("", 128, 0, 256), insert("", 512)})
	w.Enqueue(bad)
	closeWriter(t, w)
	for _, table := range []string{"data_flow", "by_day"} {
		if got := number(t, conn, "SELECT sum(bit_count) FROM "+table); got != 1023 {
			t.Errorf("%s: %d bits", table, got)
		}
	}
	if s := w.Stats(); s.Quarantined[sink.Rejected].Rows != 1 || s.Delivered.Rows != 10 {
		t.Errorf("%+v", s)
	}
}
