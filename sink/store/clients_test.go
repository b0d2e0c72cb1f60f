package store_test

import (
	"context"
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/sink/schema"
	"github.com/metranova/flow-collector/sink/store"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

// TestClients runs ClickHouse's own clients for other languages, with their defaults, against a store: `make
// test-clients`. CLIENTS_TEST is a directory that has them.
func TestClients(t *testing.T) {
	dir := os.Getenv("CLIENTS_TEST")
	if dir == "" {
		t.Skip("needs clients of other languages: make test-clients")
	}
	const password = "it's a secret"
	base := storetest.StartWith(t, store.Options{Password: password})
	address := strings.TrimPrefix(base, "http://")
	host, port, _ := strings.Cut(address, ":")
	ask := strings.Replace(base, "http://", "http://default:it%27s%20a%20secret@", 1)
	const flow = "data_flow"
	run(t, ask, flowTable(t))
	for _, client := range []struct {
		name    string
		needs   string // a file of dir
		command []string
	}{
		{"clickhouse-connect", "venv/bin/python",
			[]string{filepath.Join(dir, "venv/bin/python"), "clienttest/python.py", host, port, password, flow}},
		{"@clickhouse_client", "node_modules/@clickhouse/client",
			[]string{"node", "clienttest/node.mjs", base, password, flow, dir}},
		{"client-v2 and JDBC", "java", []string{"java", "-cp", filepath.Join(dir, "java", "*"),
			"clienttest/Clients.java", address, password, flow}},
		{"clickhouse-rs", "rust/release/clienttest",
			[]string{filepath.Join(dir, "rust/release/clienttest"), base, password, flow}},
	} {
		t.Run(client.name, func(t *testing.T) {
			if _, err := os.Stat(filepath.Join(dir, client.needs)); err != nil {
				t.Skipf("not installed: %v", err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			output, err := exec.CommandContext(ctx, client.command[0], client.command[1:]...).CombinedOutput()
			passed := 0
			for line := range strings.Lines(string(output)) {
				switch {
				case strings.HasPrefix(line, "ok "):
					passed++
				case strings.HasPrefix(line, "FAIL "):
					t.Error(strings.TrimSpace(line))
				}
			}
			if err != nil || passed == 0 {
				t.Errorf("%d checks passed; %v\n%s", passed, err, output)
			}
			t.Logf("%d checks passed", passed)
		})
	}
}

// flowTable is the statement that makes data_flow.
func flowTable(t *testing.T) string {
	t.Helper()
	s := schema.Default()
	s.FlowExtensions, s.IPRefExtensions = []string{"bgp", "ipv4", "ipv6", "mpls", "vlan"}, []string{"scireg"}
	statements, err := schema.Statements(s)
	must(t, err)
	for _, statement := range statements {
		if strings.HasPrefix(statement, "CREATE TABLE") &&
			strings.Contains(strings.SplitN(statement, "(", 2)[0], "data_flow") {
			return statement
		}
	}
	t.Fatalf("no statement makes data_flow: %.300q", statements)
	return ""
}

// TestDatabaseSQL uses clickhouse-go the way that most Go programs do.
func TestDatabaseSQL(t *testing.T) {
	ctx := t.Context()
	db, err := sql.Open("clickhouse", storetest.Start(t)+"?dial_timeout=10s")
	must(t, err)
	defer db.Close()
	exec := func(statement string, args ...any) {
		t.Helper()
		_, err := db.ExecContext(ctx, statement, args...)
		must(t, err)
	}
	exec("CREATE TABLE t (id UInt64, who LowCardinality(String), at DateTime64(3, 'UTC'), maybe Nullable(UInt8)) " +
		"ENGINE = MergeTree ORDER BY id")
	tx, err := db.BeginTx(ctx, nil)
	must(t, err)
	batch, err := tx.PrepareContext(ctx, "INSERT INTO t")
	must(t, err)
	at := time.Date(2026, 5, 4, 3, 2, 1, 5e6, time.UTC)
	for i := range uint64(3) {
		_, err := batch.ExecContext(ctx, i, "edge", at, nil)
		must(t, err)
	}
	must(t, tx.Commit())
	exec("INSERT INTO t (id, who) VALUES (?, ?)", 7, "it's")
	rows, err := db.QueryContext(ctx, "SELECT id, who, at, maybe FROM t WHERE id >= ? ORDER BY id", 2)
	must(t, err)
	defer rows.Close()
	var got []string
	for rows.Next() {
		var id uint64
		var who string
		var when time.Time
		var maybe sql.NullInt64
		must(t, rows.Scan(&id, &who, &when, &maybe))
		if id == 2 && !when.Equal(at) || maybe.Valid {
			t.Errorf("row %d: %s, %v", id, when, maybe)
		}
		got = append(got, who)
	}
	must(t, rows.Err())
	if strings.Join(got, " ") != "edge it's" {
		t.Errorf("got %q", got)
	}
	if _, err := db.ExecContext(ctx, "SELECT * FROM nowhere"); err == nil || !strings.Contains(err.Error(), "60") {
		t.Errorf("unknown table: error %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := db.ExecContext(ended, "SELECT 1"); err == nil {
		t.Error("a cancelled context gives no error")
	}
}
