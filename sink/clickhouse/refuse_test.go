package clickhouse

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/native"
	"github.com/metranova/flow-collector/sink/quarantine"
	"github.com/metranova/flow-collector/sink/spool"
)

// bitsBlock is a Native block of a row for each number, all on one day.
func bitsBlock(t *testing.T, bits ...uint64) []byte {
	t.Helper()
	var (
		start proto.ColDateTime
		count proto.ColUInt64
	)
	for _, n := range bits {
		start.Append(time.Unix(86400, 0))
		count.Append(n)
	}
	input := proto.Input{{Name: "start_time", Data: &start}, {Name: "bit_count", Data: &count}}
	var b proto.Buffer
	if err := (proto.Block{Columns: len(input), Rows: len(bits)}).EncodeRawBlock(&b, 0, input); err != nil {
		t.Fatal(err)
	}
	return b.Buf
}

// numbered are rows of 1, 2, 3 … bits, but for those that are bad: the table's constraint refuses 0.
func numbered(rows int, bad ...int) []uint64 {
	bits := make([]uint64, rows)
	for i := range bits {
		if !slices.Contains(bad, i) {
			bits[i] = uint64(i + 1)
		}
	}
	return bits
}

func sum(bits []uint64) (n uint64) {
	for _, b := range bits {
		n += b
	}
	return n
}

// constrained makes data_flow with a constraint and two views.
func constrained(t *testing.T, conn driver.Conn) {
	t.Helper()
	run(t, conn, "DROP TABLE IF EXISTS by_day_mv", "DROP TABLE IF EXISTS by_day", "DROP TABLE IF EXISTS data_flow",
		createFlow,
		"ALTER TABLE data_flow ADD CONSTRAINT some CHECK bit_count > 0",
		"CREATE TABLE by_day (day Date, bit_count UInt64) ENGINE = SummingMergeTree ORDER BY day SETTINGS "+
			"non_replicated_deduplication_window = 100",
		"CREATE MATERIALIZED VIEW by_day_mv TO by_day AS SELECT toDate(start_time) AS day, bit_count FROM data_flow")
}

// kept are all records of a quarantine and how many rows these have.
func kept(t *testing.T, dir string) (records []quarantine.Record, rows int) {
	t.Helper()
	files, err := quarantine.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		for _, r := range f.Records {
			data, err := f.Data(&r)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := native.Cut(data, 0, r.Rows+1); err == nil {
				t.Errorf("a block has more than the %d rows that its record says", r.Rows)
			}
			rows += r.Rows
		}
		records = append(records, f.Records...)
	}
	return records, rows
}

func TestEngineBadRowsAreSetAside(t *testing.T) {
	conn := engine(t, Options{})
	for _, c := range []struct {
		name string
		rows int
		bad  []int
		most uint64 // cuts
	}{
		{"the first", 1000, []int{0}, 10},
		{"the last", 999, []int{998}, 10},
		{"one of two", 2, []int{1}, 1},
		{"several", 1000, []int{3, 4, 500, 777, 998}, 50},
		{"the only one", 1, []int{0}, 0},
		{"all of few", 5, []int{0, 1, 2, 3, 4}, 4},
		{"all", 5000, func() (all []int) {
			for i := range 5000 {
				all = append(all, i)
			}
			return all
		}(), 40},
	} {
		for _, onDisk := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, spool %v", c.name, onDisk), func(t *testing.T) {
				constrained(t, conn)
				dir := t.TempDir()
				o := fast()
				o.Quarantine = quarantine.New(quarantine.Options{Dir: dir})
				bits := numbered(c.rows, c.bad...)
				bad := &Insert{Query: flowQuery, Token: "bad", Rows: c.rows, Data: bitsBlock(t, bits...)}
				if onDisk {
					sp := openSpool(t, t.TempDir())
					o.Spool, o.SpoolAfter = sp, time.Hour
					if err := sp.Put(spool.Entry{Query: bad.Query, Token: bad.Token, Rows: bad.Rows,
						Data: bad.Data}); err != nil {
						t.Fatal(err)
					}
				}
				w := NewWriter(conn, o)
				if !onDisk {
					w.Enqueue(bad)
				}
				w.Enqueue(&Insert{Query: flowQuery, Token: "good", Rows: 1, Data: bitsBlock(t, 1000000)})
				until(t, "all is dealt with", func() bool {
					s := w.Stats()
					return s.Delivered.Rows+s.Quarantined[sink.Rejected].Rows == uint64(c.rows)+1
				})
				closeWriter(t, w)
				for _, table := range []string{"data_flow", "by_day"} {
					if got, want := number(t, conn, "SELECT sum(bit_count) FROM "+table),
						sum(bits)+1000000; got != want {
						t.Errorf("%s: %d bits, want %d", table, got, want)
					}
				}
				s := w.Stats()
				allThere(t, 2, s)
				records, rows := kept(t, dir)
				if rows != len(c.bad) || s.Quarantined[sink.Rejected].Rows != uint64(rows) || len(s.Lost) > 0 {
					t.Errorf("%d rows in quarantine, want %d: %+v", rows, len(c.bad), s)
				}
				if s.Cut > c.most {
					t.Errorf("%d cuts, want %d at most", s.Cut, c.most)
				}
				for _, r := range records {
					if r.Code != 469 || r.Stored || !strings.Contains(r.Error, "Constraint") ||
						!strings.HasPrefix(r.Token, "bad") {
						t.Errorf("record %+v", r)
					}
				}
			})
		}
	}
}

// What fails for all rows is not cut at all, and what cannot be cut is kept as it is.
func TestEngineRefusedAsAWhole(t *testing.T) {
	conn := engine(t, Options{})
	constrained(t, conn)
	for _, c := range []struct {
		name string
		ins  Insert
	}{
		{"a column that the table lacks",
			Insert{Query: InsertQuery("flows", "data_flow", []string{"start_time", "bits"}), Rows: 9,
				Data: days(t, 9)}},
		{"a block that is cut off", Insert{Query: flowQuery, Rows: 10, Data: days(t, 10)[:60]}},
		{"garbage", Insert{Query: flowQuery, Rows: 10, Data: []byte("\x01\x01garbage")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			o := fast()
			o.Quarantine = quarantine.New(quarantine.Options{Dir: dir})
			w := NewWriter(conn, o)
			want := c.ins.Rows
			w.Enqueue(&c.ins)
			closeWriter(t, w)
			if s := w.Stats(); s.Cut != 0 || s.Quarantined[sink.Rejected].Rows != uint64(want) {
				t.Errorf("stats %+v", s)
			}
			if records, rows := kept(t, dir); len(records) != 1 || rows != want {
				t.Errorf("records %+v", records)
			}
		})
	}
}

// Parts that cannot be delivered while they are at it wait on disk under their own tokens; a restart goes on with them.
func TestCutGoesOnAfterARestart(t *testing.T) {
	isPart := func(token string) bool { return strings.Contains(token, "/") }
	f := newFakeServer(t, nil)
	var down atomic.Bool
	f.answer = func(n int, w http.ResponseWriter, r *http.Request) {
		f.store(n, r)
		switch token := f.got()[n].token; {
		case !isPart(token), strings.HasSuffix(token, "/0-2"), strings.HasSuffix(token, "/1-2"):
			exception(w, 400, 469, "Constraint is violated")
		case strings.HasSuffix(token, "/2-4") && down.CompareAndSwap(false, true), down.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
	conn, dir, bad := f.open(t), t.TempDir(), t.TempDir()
	first := func(w *Writer) { // row 1 of 4 is bad; the server goes down before the second half
		w.Enqueue(&Insert{Query: flowQuery, Token: "t", Rows: 4, Data: bitsBlock(t, 1, 0, 3, 4)})
		until(t, "the server is down", down.Load)
	}
	for restart := range 2 {
		sp := openSpool(t, dir)
		o := withSpool(sp)
		o.Quarantine = quarantine.New(quarantine.Options{Dir: bad})
		w := NewWriter(conn, o)
		if restart == 0 {
			first(w)
		} else {
			down.Store(true) // the first /2-4 was refused already
			until(t, "nothing waits", func() bool { down.Store(false); return w.Stats().Spool.Waiting.Entries == 0 })
		}
		closeWriter(t, w)
		allThere(t, uint64(1-restart), w.Stats())
		if err := sp.Close(); err != nil {
			t.Fatal(err)
		}
		if restart == 0 {
			if s := w.Stats(); s.Spool.Waiting.Entries != 1 || s.Spool.Waiting.Rows != 2 {
				t.Errorf("waiting %+v, want the second half", s.Spool.Waiting)
			}
			f.mu.Lock()
			f.answer = func(n int, _ http.ResponseWriter, r *http.Request) { f.store(n, r) }
			f.mu.Unlock()
		}
	}
	var tokens []string
	for _, in := range f.got() {
		tokens = append(tokens, in.token)
	}
	slices.Sort(tokens)
	if want := []string{"t", "t/0-1", "t/0-2", "t/1-2", "t/2-4"}; !slices.Equal(slices.Compact(tokens), want) {
		t.Errorf("tokens %v, want %v", tokens, want)
	}
	if records, rows := kept(t, bad); rows != 1 || records[0].Token != "t/1-2" {
		t.Errorf("quarantine %+v", records)
	}
}

// A proxy before the server may refuse large inserts; the rows go in by smaller ones.
func TestTooLargeIsCut(t *testing.T) {
	f := newFakeServer(t, nil)
	f.answer = func(n int, w http.ResponseWriter, r *http.Request) {
		f.store(n, r)
		if len(f.got()[n].data) > 400 {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
	}
	w := NewWriter(f.open(t), fast())
	w.Enqueue(&Insert{Query: flowQuery, Token: "t", Rows: 100, Data: bitsBlock(t, numbered(100)...)})
	closeWriter(t, w)
	if s := w.Stats(); s.Delivered.Rows != 100 || s.Cut != 3 || len(s.Lost) != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestPartToken(t *testing.T) {
	for _, c := range []struct {
		token    string
		from, to int
		want     string
	}{
		{"run-1-2", 0, 25000, "run-1-2/0-25000"},
		{"run-1-2/25000-50000", 12500, 25000, "run-1-2/37500-50000"},
		{"a/b", 1, 2, "a/b/1-2"},
		{"", 0, 1, ""},
	} {
		if got := partToken(c.token, c.from, c.to); got != c.want {
			t.Errorf("rows %d-%d of %q: %q, want %q", c.from, c.to, c.token, got, c.want)
		}
	}
}

// The table has the rows when a view fails. They are not sent under other tokens, and the view that was fixed gets
// them by the same one.
func TestEngineViewThatNeverWorks(t *testing.T) {
	for _, onDisk := range []bool{false, true} {
		t.Run(fmt.Sprintf("spool %v", onDisk), func(t *testing.T) {
			conn := engine(t, Options{})
			constrained(t, conn)
			const failing = "SELECT start_time, bit_count FROM data_flow WHERE throwIf(bit_count = 3) = 0"
			run(t, conn,
				"CREATE TABLE other (start_time DateTime, bit_count UInt64) ENGINE = SummingMergeTree ORDER BY "+
					"start_time SETTINGS non_replicated_deduplication_window = 100",
				"CREATE MATERIALIZED VIEW other_mv TO other AS "+failing)
			dir := t.TempDir()
			o := fast()
			o.Quarantine = quarantine.New(quarantine.Options{Dir: dir})
			ins := &Insert{Query: flowQuery, Token: "t", Rows: 5, Data: bitsBlock(t, numbered(5)...)}
			if onDisk {
				sp := openSpool(t, t.TempDir())
				o.Spool, o.SpoolAfter = sp, time.Hour
				if err := sp.Put(spool.Entry{Query: ins.Query, Token: ins.Token, Rows: ins.Rows,
					Data: ins.Data}); err != nil {
					t.Fatal(err)
				}
			}
			w := NewWriter(conn, o)
			if !onDisk {
				w.Enqueue(ins)
			}
			until(t, "it is stored", func() bool { return w.Stats().Delivered.Inserts == 1 })
			closeWriter(t, w)
			if s := w.Stats(); s.WithoutView.Rows != 5 || s.Cut != 0 || len(s.Lost)+len(s.Quarantined) != 0 {
				t.Errorf("stats %+v", s)
			}
			expect := func(when string, other uint64) {
				t.Helper()
				for table, want := range map[string]uint64{"data_flow": 15, "by_day": 15, "other": other} {
					if got := number(t, conn, "SELECT sum(bit_count) FROM "+table); got != want {
						t.Errorf("%s: %s has %d bits, want %d", when, table, got, want)
					}
				}
			}
			expect("while the view fails", 0)
			records, rows := kept(t, dir)
			if rows != 5 || !records[0].Stored || records[0].Reason != string(ViewFailed) ||
				!strings.Contains(records[0].Error, "other_mv") {
				t.Fatalf("quarantine %+v", records)
			}
			run(t, conn, "ALTER TABLE other_mv MODIFY QUERY SELECT start_time, bit_count FROM data_flow")
			again := NewWriter(conn, fast())
			for range 2 {
				again.Enqueue(&Insert{Query: records[0].Query, Token: records[0].Token, Rows: 5,
					Data: bitsBlock(t, numbered(5)...)})
			}
			closeWriter(t, again)
			expect("when the view is fixed", 15)
		})
	}
}

// A view that somebody may fix is waited for, but only as long as the table is sure to know the token.
func TestViewThatIsWaitedForInVain(t *testing.T) {
	f := newFakeServer(t, nil)
	var ignored atomic.Int64
	f.answer = func(n int, w http.ResponseWriter, r *http.Request) {
		f.store(n, r)
		switch in := f.got()[n]; {
		case in.token != "bad":
		case in.settings["materialized_views_ignore_errors"] == "1":
			ignored.Add(1)
		default:
			exception(w, 500, 36, "Dictionary (`d`) not found: while pushing to view flows.v_mv")
		}
	}
	o := fast()
	o.Spool, o.SpoolAfter = openSpool(t, t.TempDir()), time.Hour
	o.Window, o.ConfigurationRetry = 40, 200*time.Millisecond
	dir := t.TempDir()
	o.Quarantine = quarantine.New(quarantine.Options{Dir: dir})
	w := NewWriter(f.open(t), o)
	w.Enqueue(insertOf("0"))
	until(t, "one is delivered", func() bool { return w.Stats().Delivered.Inserts == 1 })
	w.Enqueue(insertOf("bad"))
	until(t, "it is set aside at once", func() bool { return w.Stats().Spooled.Inserts == 1 })
	n := 1
	for ; ignored.Load() == 0 && n < 100000; n++ {
		w.Enqueue(insertOf(fmt.Sprint(n)))
		until(t, "the others are delivered", func() bool { return w.Stats().Delivered.Inserts >= uint64(n) })
	}
	if n < 11 || n == 100000 {
		t.Errorf("given up after %d others", n)
	}
	until(t, "nothing waits", func() bool { return w.Stats().Spool.Waiting.Entries == 0 })
	closeWriter(t, w)
	if records, _ := kept(t, dir); len(records) != 1 || !records[0].Stored || records[0].Code != 36 {
		t.Errorf("quarantine %+v", records)
	}
	allThere(t, uint64(n+1), w.Stats())
}

// Without a quarantine, or where it is full, what is refused is lost, and counted.
func TestQuarantineThatTakesNothing(t *testing.T) {
	f := newFakeServer(t, func(_ int, w http.ResponseWriter,
		_ *http.Request) {
		exception(w, 400, 16, "No such column")
	})
	for name, q := range map[string]*quarantine.Quarantine{"none": nil,
		"full": quarantine.New(quarantine.Options{Dir: t.TempDir(), MaxBytes: 10})} {
		t.Run(name, func(t *testing.T) {
			o := fast()
			o.Quarantine = q
			w := NewWriter(f.open(t), o)
			w.Enqueue(insertOf("t"))
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := w.Close(ctx); err != nil {
				t.Fatal(err)
			}
			if s := w.Stats(); s.Lost[sink.Rejected].Rows != 3 || len(s.Quarantined) != 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// A server's profile may forbid the setting that lets an insert into many partitions in.
func TestSettingThatMayNotBeChanged(t *testing.T) {
	for code, message := range map[int]string{
		452: "Setting max_partitions_per_insert_block should not be changed",
		164: "Cannot modify 'max_partitions_per_insert_block' setting in readonly mode",
	} {
		f := newFakeServer(t, nil)
		f.answer = func(n int, w http.ResponseWriter, r *http.Request) {
			f.store(n, r)
			if _, set := f.got()[n].settings[partitionsSetting]; set {
				exception(w, 500, code, message)
			}
		}
		o := fast()
		o.ConfigurationRetry = time.Hour
		w := NewWriter(f.open(t), o)
		for i := range 3 {
			w.Enqueue(insertOf(fmt.Sprint(i)))
		}
		closeWriter(t, w)
		if s := w.Stats(); s.Delivered.Inserts != 3 || s.Retried.Inserts != 1 {
			t.Errorf("code %d: stats %+v", code, s)
		}
	}
}

// A block of more partitions than the server takes at once goes in by parts.
func TestEngineFewPartitionsAtOnce(t *testing.T) {
	conn := engine(t, Options{})
	run(t, conn, createFlow)
	o := fast()
	o.Settings = map[string]any{partitionsSetting: 10}
	w := NewWriter(conn, o)
	w.Enqueue(&Insert{Query: flowQuery, Token: "t", Rows: 95, Data: days(t, 95)})
	closeWriter(t, w)
	if got := number(t, conn, "SELECT count() FROM data_flow"); got != 95 || len(w.Stats().Lost) > 0 {
		t.Errorf("%d rows stored of 95; stats %+v", got, w.Stats())
	}
}
