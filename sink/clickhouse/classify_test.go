package clickhouse

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/golden"
)

// Every error code has one class.
func TestErrorClassesNameEachCodeOnce(t *testing.T) {
	known := map[int32]string{}
	for _, group := range errorClasses {
		for i, e := range group.codes {
			if other, ok := known[e.code]; ok {
				t.Errorf("%d is %s and %s", e.code, other, e.name)
			}
			if i > 0 && group.codes[i-1].code >= e.code {
				t.Errorf("%d %s: not in order", e.code, e.name)
			}
			known[e.code] = e.name
			if got := Classify(&chgo.Exception{Code: e.code}); got != group.class {
				t.Errorf("%d %s is %v, want %v", e.code, e.name, got, group.class)
			}
		}
	}
	for code := int32(1); code < 2000; code++ {
		if _, ok := known[code]; !ok && Classify(&chgo.Exception{Code: code}) != sink.Unknown {
			t.Errorf("%d is not sink.Unknown", code)
		}
	}
}

// The names are those of the engine.
func TestEngineErrorNames(t *testing.T) {
	conn := engine(t, Options{})
	for _, group := range errorClasses {
		for _, e := range group.codes {
			var name string
			if err := conn.QueryRow(t.Context(), fmt.Sprintf("SELECT errorCodeToName(%d)",
				e.code)).Scan(&name); err != nil {
				t.Fatal(err)
			}
			if name != e.name {
				t.Errorf("%d is %s, not %s", e.code, name, e.name)
			}
		}
	}
}

// Code by code: what the server says of the data is refused at once, and everything else is tried again until it goes
// in. Codes of no group too.
func TestOnlyWhatIsSaidOfTheDataIsRefused(t *testing.T) {
	type code struct {
		number  int32
		refused bool
		broken  bool
	}
	codes := []code{{4242, false, false}, {9998, false, false}, {99999, false, false}}
	for _, group := range errorClasses {
		for _, e := range group.codes {
			codes = append(codes, code{e.code, group.class == sink.Permanent, group.broken})
		}
	}
	attempts := map[string]int{}
	var mu sync.Mutex
	f := newFakeServer(t, nil)
	f.answer = func(n int, w http.ResponseWriter, r *http.Request) {
		f.store(n, r)
		token := f.got()[n].token
		var number int
		if _, err := fmt.Sscan(token, &number); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		if attempts[token]++; attempts[token] < 3 {
			exception(w, 500, number, "something")
		}
	}
	o := withSpool(openSpool(t, t.TempDir()))
	o.UnknownAttempts = 1
	w := NewWriter(f.open(t), o)
	refused := uint64(0)
	for _, c := range codes {
		ins := insertOf(fmt.Sprint(c.number))
		if c.broken { // a block that is whole
			ins.Data, ins.Fills, ins.Rows = days(t, 3), nil, 3
		}
		w.Enqueue(ins)
		if c.refused {
			refused++
		}
	}
	until(t, "all are stored or refused", func() bool {
		s := w.Stats()
		return s.Delivered.Inserts+
			s.Lost[sink.Rejected].Inserts == uint64(len(codes))
	})
	closeWriter(t, w)
	if s := w.Stats(); s.Lost[sink.Rejected].Inserts != refused || len(s.Lost) != 1 || len(s.Quarantined) > 0 {
		t.Errorf("%d were to be refused; stats %+v", refused, s)
	}
	for _, c := range codes {
		if n := attempts[fmt.Sprint(c.number)]; (n == 1) != c.refused || n != 1 && n != 3 {
			t.Errorf("code %d: %d attempts, refused should be %v", c.number, n, c.refused)
		}
	}
}

// A server that says that a block is broken is believed only if it is.
func TestBlockThatArrivedBroken(t *testing.T) {
	f := newFakeServer(t, nil)
	f.answer = func(n int, w http.ResponseWriter, r *http.Request) {
		f.store(n, r)
		if n == 0 {
			exception(w, 500, 33, "Cannot read all data")
		}
	}
	o := fast()
	o.Log = nil
	w := NewWriter(f.open(t), o)
	w.Enqueue(&Insert{Query: flowQuery, Token: "whole", Rows: 3, Data: days(t, 3)})
	closeWriter(t, w)
	if s := w.Stats(); s.Delivered.Inserts != 1 || s.Retried.Inserts != 1 {
		t.Errorf("a block that is whole: %+v", s)
	}
	f.mu.Lock()
	f.inserts = nil
	f.mu.Unlock()
	w = NewWriter(f.open(t), o)
	w.Enqueue(&Insert{Query: flowQuery, Token: "cut", Rows: 3, Data: days(t, 3)[:40]})
	closeWriter(t, w)
	if s := w.Stats(); s.Lost[sink.Rejected].Inserts != 1 || s.Retried.Inserts != 0 {
		t.Errorf("a block that is cut: %+v", s)
	}
}

// A proxy that takes nothing of any size is not the rows' fault.
func TestRowThatIsTooLargeForAProxyWaits(t *testing.T) {
	f, broken := switchable(t, func(w http.ResponseWriter) { w.WriteHeader(http.StatusRequestEntityTooLarge) })
	o := withSpool(openSpool(t, t.TempDir()))
	w := NewWriter(f.open(t), o)
	w.Enqueue(&Insert{Query: flowQuery, Token: "t", Rows: 3, Data: days(t, 3)})
	until(t, "it is cut and waits", func() bool { return w.Stats().Spool.Waiting.Entries == 3 })
	broken.Store(false)
	until(t, "all is delivered", func() bool { return w.Stats().Delivered.Rows == 3 })
	closeWriter(t, w)
	if s := w.Stats(); len(s.Lost) > 0 || len(s.Quarantined) > 0 {
		t.Errorf("stats %+v", s)
	}
}

// errorTable is the table of README.md.
func errorTable() string {
	var b strings.Builder
	b.WriteString("| class | why | codes |\n|---|---|---|\n")
	for _, group := range errorClasses {
		var names []string
		for _, e := range group.codes {
			names = append(names, fmt.Sprintf("%d %s", e.code, e.name))
		}
		fmt.Fprintf(&b, "| %v | %s | %s |\n", group.class, group.why, strings.Join(names, ", "))
	}
	b.WriteString("| unknown | All other codes. | |\n")
	return b.String()
}

// README.md has the table of errorcodes.go.
func TestReadmeHasTheErrorTable(t *testing.T) {
	golden.Section(t, "../README.md", "error classes", errorTable())
}

// Settings that a profile forbids: some can be left to it, the others are waited for, with a line that says what to do.
func TestForbiddenSettings(t *testing.T) {
	for _, name := range []string{"optimize_on_insert", "parallel_view_processing", "distributed_foreground_insert",
		partitionsSetting, "async_insert", "insert_deduplicate", "deduplicate_blocks_in_dependent_materialized_views"} {
		t.Run(name, func(t *testing.T) {
			f := newFakeServer(t, nil)
			f.answer = func(n int, w http.ResponseWriter, r *http.Request) {
				f.store(n, r)
				if _, set := f.got()[n].settings[name]; set {
					exception(w, 500, 452, "Setting "+name+" should not be changed. (SETTING_CONSTRAINT_VIOLATION)")
				}
			}
			log, lines := observed()
			o := withSpool(openSpool(t, t.TempDir()))
			o.ConfigurationRetry, o.Log = time.Hour, log
			w := NewWriter(f.open(t), o)
			w.Enqueue(insertOf("1"))
			_, optional := dispensable[name]
			if optional {
				until(t, "it is delivered", func() bool { return w.Stats().Delivered.Inserts == 1 })
			} else {
				until(t, "it waits", func() bool { return w.Stats().Spool.Waiting.Entries == 1 })
			}
			closeWriter(t, w)
			text := lines()
			if optional && (strings.Count(text, "inserts go without it") != 1 ||
				strings.Contains(text, "insert failed")) {
				t.Errorf("said %s", text)
			}
			if !optional && !strings.Contains(text, "ALTER USER … SETTINGS "+name+" WRITABLE") {
				t.Errorf("said %s", text)
			}
		})
	}
}
