package store_test

import (
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/metranova/flow-collector/sink/store"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

// TestDoor sends requests under other names and from other pages. All but the allowed ones get no answer.
func TestDoor(t *testing.T) {
	base := storetest.StartWith(t, store.Options{Hosts: []string{"Flows.example.org"}})
	run(t, base, "CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY a")
	port := base[strings.LastIndex(base, ":"):]
	own, err := os.Hostname()
	must(t, err)
	secret, err := store.ReadSecret(storePath(t, base))
	must(t, err)
	for name, c := range map[string]struct {
		host   string
		header []string
		status int
	}{
		"its address":        {host: "127.0.0.1" + port, status: 200},
		"another port":       {host: "127.0.0.1:9", status: 200},
		"another loopback":   {host: "127.1.2.3" + port, status: 200},
		"IPv6 loopback":      {host: "[::1]" + port, status: 200},
		"localhost":          {host: "localhost" + port, status: 200},
		"localhost.":         {host: "LocalHost." + port, status: 200},
		"own name, password": {host: own + port, header: []string{"X-ClickHouse-Key", secret}, status: 200},
		"own name, none":     {host: own + port, status: 401},
		"configured, password": {host: "flows.example.org" + port, header: []string{"X-ClickHouse-Key", secret},
			status: 200},
		"configured, none": {host: "flows.example.org" + port, status: 401},
		"rebound name":     {host: "evil.example" + port, status: 403},
		"rebound, password": {host: "evil.example" + port, header: []string{"X-ClickHouse-Key", secret},
			status: 403},
		"rebound, same origin": {host: "evil.example" + port,
			header: []string{"Origin", "http://evil.example" + port}, status: 403},
		"looks like loopback":  {host: "127.0.0.1.evil.example" + port, status: 403},
		"looks like localhost": {host: "localhost.evil.example" + port, status: 403},
		"another address":      {host: "192.0.2.1" + port, status: 403},
		"any address":          {host: "0.0.0.0" + port, status: 403},
		"number":               {host: "2130706433" + port, status: 403},
		"typed by a user":      {host: "127.0.0.1" + port, header: []string{"Sec-Fetch-Site", "none"}, status: 200},
		"own page": {host: "127.0.0.1" + port,
			header: []string{"Sec-Fetch-Site", "same-origin", "Origin", base}, status: 200},
		"page of another site": {host: "127.0.0.1" + port, header: []string{"Sec-Fetch-Site", "cross-site"},
			status: 403},
		"page of another port": {host: "127.0.0.1" + port, header: []string{"Sec-Fetch-Site", "same-site"},
			status: 403},
		"with the password": {host: "127.0.0.1" + port,
			header: []string{"Sec-Fetch-Site", "cross-site", "X-ClickHouse-Key", secret}, status: 403},
		"foreign origin": {host: "127.0.0.1" + port, header: []string{"Origin", "https://evil.example"},
			status: 403},
		"null origin": {host: "127.0.0.1" + port, header: []string{"Origin", "null"}, status: 403},
		"file origin": {host: "127.0.0.1" + port, header: []string{"Origin", "file://"}, status: 403},
		"origin of another port": {host: "127.0.0.1" + port, header: []string{"Origin", "http://127.0.0.1:3000"},
			status: 403},
		"configured origin": {host: "127.0.0.1" + port, header: []string{"Origin", "https://flows.example.org"},
			status: 200},
		"wrong password": {host: "127.0.0.1" + port, header: []string{"X-ClickHouse-Key", "x"}, status: 403},
		"wrong user": {host: "127.0.0.1" + port, header: []string{"X-ClickHouse-User", "root"},
			status: 401},
		"the password": {host: "127.0.0.1" + port,
			header: []string{"X-ClickHouse-User", "default", "X-ClickHouse-Key", secret}, status: 200},
	} {
		t.Run(name, func(t *testing.T) {
			for _, method := range []string{http.MethodPost, http.MethodGet} {
				target := base + "/?query=" + url.QueryEscape("SELECT 'answer'")
				r, err := http.NewRequestWithContext(t.Context(), method, target, nil)
				must(t, err)
				r.Host = c.host
				for i := 0; i < len(c.header); i += 2 {
					r.Header.Set(c.header[i], c.header[i+1])
				}
				got := do(t, r)
				if got.status != c.status || strings.Contains(got.body, "answer") != (c.status == 200) {
					t.Errorf("%s: status %d, want %d: %q", method, got.status, c.status, got.body)
				}
				if strings.Contains(got.body, secret) {
					t.Errorf("%s: the answer holds the password: %q", method, got.body)
				}
			}
		})
	}
}

// storePath finds the directory of a store by what its server says.
func storePath(t *testing.T, base string) string {
	t.Helper()
	return strings.TrimSuffix(strings.TrimSpace(run(t, base, "SELECT path FROM system.disks WHERE name = 'default'")),
		"/")
}

// TestPreflight asks as a browser does before it sends a request for a page of another site.
func TestPreflight(t *testing.T) {
	base := storetest.StartWith(t, store.Options{Hosts: []string{"flows.example.org"}})
	for origin, want := range map[string]string{"https://evil.example": "", "null": "",
		"https://flows.example.org": "https://flows.example.org"} {
		r := send(t, http.MethodOptions, base, "", "Origin", origin, "Access-Control-Request-Method", "POST",
			"Access-Control-Request-Private-Network", "true")
		if got := r.header.Get("Access-Control-Allow-Origin"); got != want ||
			r.header.Get("Access-Control-Allow-Private-Network") != "" {
			t.Errorf("%s: allowed origin %q, headers %v", origin, got, r.header)
		}
	}
}

// TestGETOnlyReads sends by GET what changes something.
func TestGETOnlyReads(t *testing.T) {
	base := storetest.Start(t)
	run(t, base, "CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY a")
	run(t, base, "INSERT INTO t VALUES (1)")
	run(t, base,
		"CREATE DICTIONARY d (a UInt64, b Int8) PRIMARY KEY a SOURCE(CLICKHOUSE(QUERY 'SELECT 1 AS a, 2 AS b')) "+
			"LIFETIME(0) LAYOUT(FLAT())")
	for _, sql := range []string{
		"INSERT INTO t VALUES (2)", "INSERT INTO t SELECT 2", "INSERT INTO FUNCTION null('a Int8') SELECT 1",
		"WITH 1 AS x INSERT INTO t SELECT x",
		"DROP TABLE t", "TRUNCATE TABLE t", "ALTER TABLE t DELETE WHERE 1", "DELETE FROM t WHERE 1",
		"OPTIMIZE TABLE t FINAL", "RENAME TABLE t TO u",
		"CREATE TABLE u (a Int8) ENGINE = Memory", "CREATE TEMPORARY TABLE u (a Int8)", "CREATE VIEW v AS SELECT 1",
		"CREATE DATABASE u", "DETACH TABLE t",
		"KILL QUERY WHERE 1", "KILL QUERY WHERE 1 TEST", "SYSTEM STOP MERGES", "SYSTEM RELOAD DICTIONARY d",
		"SYSTEM FLUSH LOGS", "SET max_threads = 1",
		"SET readonly = 0", "SELECT 1 SETTINGS readonly = 0", "USE system", "SELECT 1 PARALLEL WITH DROP TABLE t",
		"EXCHANGE TABLES t AND u",
	} {
		for _, more := range []string{"", "&readonly=0", "&readonly=2", "&allow_ddl=1"} {
			if r := send(t, http.MethodGet, base+"/?query="+url.QueryEscape(sql)+more, ""); r.status == http.StatusOK {
				t.Errorf("GET %s%s: status 200: %q", sql, more, r.body)
			}
		}
	}
	if got := run(t, base, "SELECT count(), sum(a) FROM t"); got != "1\t1\n" {
		t.Errorf("the table has %q", got)
	}
	for _, sql := range []string{"SELECT 1", "WITH 1 AS x SELECT x", "(SELECT 1)", "SHOW TABLES", "DESCRIBE t",
		"EXISTS t", "EXPLAIN SELECT 1", "SELECT dictGet('d', 'b', 1)", "SELECT 1 FORMAT JSON",
		"SELECT 1 FORMAT Parquet", "SELECT 1 FORMAT Native", "SELECT a, count() FROM t GROUP BY a WITH TOTALS",
		"FROM t SELECT a"} {
		if r := send(t, http.MethodGet, base+"/?max_threads=1&query="+url.QueryEscape(sql),
			""); r.status != http.StatusOK {
			t.Errorf("GET %s: status %d: %s", sql, r.status, r.body)
		}
	}
}

// TestPassword gives the store a password: everybody needs it then, and dictionaries and views work.
func TestPassword(t *testing.T) {
	base := storetest.StartWith(t, store.Options{User: "noc", Password: "p:ä'\\"})
	as := []string{"X-ClickHouse-User", "noc", "X-ClickHouse-Key", "p:ä'\\"}
	for name, header := range map[string][]string{"none": nil,
		"wrong": {"X-ClickHouse-User", "noc", "X-ClickHouse-Key", "p"}, "other user": {"X-ClickHouse-Key", "p:ä'\\"}} {
		if r := send(t, http.MethodPost, base, "SELECT 1", header...); r.status != 401 && r.status != 403 {
			t.Errorf("%s: status %d", name, r.status)
		}
	}
	for _, sql := range []string{
		"CREATE TABLE t (a UInt64, b Int8) ENGINE = MergeTree ORDER BY a",
		"CREATE DICTIONARY d (a UInt64, b Int8) PRIMARY KEY a SOURCE(CLICKHOUSE(HOST '127.0.0.1' DB 'default' QUERY " +
			"'SELECT a, b FROM default.t')) LIFETIME(0) LAYOUT(HASHED())",
		"CREATE MATERIALIZED VIEW v ENGINE = SummingMergeTree ORDER BY a AS SELECT a, dictGet('d', 'b', a) AS b FROM t",
		"INSERT INTO t VALUES (1, 5)",
	} {
		run(t, base, sql, as...)
	}
	if got := run(t, base, "SELECT dictGet('d', 'b', 1)", as...); got != "5\n" {
		t.Errorf("dictionary %q", got)
	}
	user := url.UserPassword("noc", "p:ä'\\")
	u, err := url.Parse(base)
	must(t, err)
	u.User = user
	if got := run(t, u.String(), "SELECT count() FROM v"); got != "1\n" {
		t.Errorf("view %q", got)
	}
}

// TestInsecure asks for a store that lets everybody in.
func TestInsecure(t *testing.T) {
	base := storetest.StartWith(t, store.Options{Insecure: true, Listen: "0.0.0.0:0"})
	base = "http://127.0.0.1" + base[strings.LastIndex(base, ":"):]
	if got := run(t, base, "SELECT 1"); got != "1\n" {
		t.Error(got)
	}
	if r := send(t, http.MethodPost, base, "SELECT 1", "Origin", "http://evil.example"); r.status != 403 {
		t.Errorf("a foreign page: status %d", r.status)
	}
}

// TestOtherUsers has curl ask as another user of this host.
func TestOtherUsers(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if os.Geteuid() != 0 || err != nil {
		t.Skip("needs root, to be another user, and curl")
	}
	base := storetest.Start(t)
	secret, err := store.ReadSecret(storePath(t, base))
	must(t, err)
	ask := func(uid uint32, args ...string) string {
		cmd := exec.Command(curl, append([]string{"--silent", "--show-error", "--data-binary", "SELECT 'answer'", base},
			args...)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("curl: %v: %s", err, out)
		}
		return string(out)
	}
	if got := ask(0); got != "answer\n" {
		t.Errorf("the store's own user: %q", got)
	}
	if got := ask(1234); !strings.Contains(got, "REQUIRED_PASSWORD") || !strings.Contains(got, "store.password") ||
		strings.Contains(got, secret) {
		t.Errorf("another user: %q", got)
	}
	if got := ask(1234, "--user", "default:"+secret); got != "answer\n" {
		t.Errorf("another user with the password: %q", got)
	}
}

// TestSecret looks at the file that the password is kept in.
func TestSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	if _, err := store.ReadSecret(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading before there is one: %v", err)
	}
	secret, err := store.Secret(path)
	must(t, err)
	again, err := store.Secret(path)
	must(t, err)
	if secret != again || len(secret) < 20 {
		t.Errorf("secrets %q and %q", secret, again)
	}
	name := filepath.Join(path, "store.password")
	info, err := os.Stat(name)
	must(t, err)
	if info.Mode() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	must(t, os.Chmod(name, 0o640)) // a group may be let in
	if _, err := store.Secret(path); err != nil {
		t.Error(err)
	}
	must(t, os.Chmod(name, 0o644))
	if _, err := store.Secret(path); err == nil || !strings.Contains(err.Error(), "chmod o= "+name) {
		t.Errorf("readable by everybody: %v", err)
	}
}

// TestEnvironment looks at what the store's process was given and keeps.
func TestEnvironment(t *testing.T) {
	t.Setenv("KAFKA_SASL_PASSWORD", "do-not-inherit")
	s := storetest.Supervise(t, store.Options{Password: "do-not-show"})
	for _, file := range []string{"environ", "cmdline"} {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(s.PID()) + "/" + file)
		must(t, err)
		for _, secret := range []string{"do-not-inherit", "do-not-show"} {
			if strings.Contains(string(b), secret) {
				t.Errorf("%s holds %q: %q", file, secret, b)
			}
		}
	}
}
