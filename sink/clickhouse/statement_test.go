package clickhouse

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/metranova/flow-collector/sink/spool"
)

func TestIsInsert(t *testing.T) {
	for _, query := range []string{
		InsertQuery("flows", "data_flow", []string{"a", "ext.b.c", "odd`name", `back\slash`}),
		InsertQuery("", "t", []string{"a"}),
		InsertByName("flows", "meta_as"), InsertByName("", "t"), InsertQuery("d`; DROP TABLE t", "t", []string{"a"}),
	} {
		if !IsInsert(query) {
			t.Errorf("refused: %s", query)
		}
	}
	for _, query := range []string{
		"", "INSERT INTO", "DROP TABLE `t`", "INSERT INTO `t`", "INSERT INTO t (a)", "insert into `t` (`a`)",
		"INSERT INTO `t` ()",
		"INSERT INTO `t` (`a`) SELECT 1", "INSERT INTO `t` (`a`);DROP TABLE `t`", "INSERT INTO `t` (`a`) ",
		"INSERT INTO `t` (`a`,`b`)",
		"INSERT INTO FUNCTION file('x') (`a`)", "INSERT INTO FUNCTION url(`a`) (`a`)", "INSERT INTO `a`.`b`.`c` (`a`)",
		"INSERT INTO `t` (`a`, )",
		"INSERT INTO `t` (`a`) SETTINGS engine_file_truncate_on_insert = 1",
		"INSERT INTO `t` SETTINGS input_format_skip_unknown_fields = 1, a = 1",
		"INSERT INTO `` (`a`)", "INSERT INTO `t` (`a", "INSERT INTO `t\\` (`a`)", "/* */ INSERT INTO `t` (`a`)",
	} {
		if IsInsert(query) {
			t.Errorf("taken: %s", query)
		}
	}
}

func FuzzIsInsert(f *testing.F) {
	f.Add(InsertQuery("flows", "data_flow", []string{"a", "b"}))
	f.Add(InsertByName("", "t"))
	f.Add("INSERT INTO FUNCTION file('x') (`a`)")
	f.Fuzz(func(t *testing.T, query string) {
		if IsInsert(query) && !strings.HasSuffix(query, ")") && !strings.HasSuffix(query, skipUnknownFields) {
			t.Errorf("taken: %s", query)
		}
	})
}

// What somebody else put into the spool's directory is not executed, holds up nothing, and stays.
func TestForeignStatementsAreNotExecuted(t *testing.T) {
	sp, err := spool.Open(spool.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ours := insertOf("ours")
	for _, e := range []spool.Entry{
		{Query: "INSERT INTO FUNCTION file('x') SELECT 1", Token: "theirs", Rows: 1, Data: ours.whole()},
		{Query: ours.Query, Token: ours.Token, Rows: ours.Rows, Data: ours.whole()},
	} {
		if err := sp.Put(e); err != nil {
			t.Fatal(err)
		}
	}
	var executed atomic.Int64
	var f *fakeServer
	f = newFakeServer(t, func(n int, _ http.ResponseWriter, r *http.Request) {
		f.store(n, r)
		if strings.Contains(r.URL.RawQuery, "FUNCTION") {
			executed.Add(1)
		}
	})
	w := NewWriter(f.open(t), withSpool(sp))
	until(t, "ours is delivered", func() bool { return w.Stats().Delivered.Inserts == 1 })
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := sp.Stats().Waiting.Entries; n != 1 || executed.Load() > 0 {
		t.Errorf("%d entries wait, executed %d times", n, executed.Load())
	}
	_ = sp.Close()
}
