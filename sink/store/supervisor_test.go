package store_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/metranova/flow-collector/sink/store"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

func TestArguments(t *testing.T) {
	want := store.Options{Path: "/data", Listen: "[::1]:9", Engine: "/lib x.so", User: "noc", Password: "p", Queries: 3,
		Memory:      1 << 33,
		QueryMemory: 5, Settings: map[string]string{"mark_cache_size": "1", "merge_tree.x": "a=b"}, Grace: time.Second,
		Insecure: true, NoLandlock: true, Hosts: []string{"flows.example.org", "flows"}}
	args := want.Arguments()
	if strings.Contains(strings.Join(args, " "), " p ") {
		t.Errorf("the password is among the arguments: %q", args)
	}
	got, err := store.OptionsFromArguments(args, func(string) string { return "p" })
	must(t, err)
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(store.Options{}, "Log")); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for name, args := range map[string][]string{"no path": {}, "unknown": {"-path", "x", "-nope"},
		"bad set": {"-path", "x", "-set", "a"}} {
		if _, err := store.OptionsFromArguments(args, os.Getenv); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestRestartKeepsData(t *testing.T) {
	path := t.TempDir()
	s := storetest.Supervise(t, store.Options{Path: path})
	run(t, s.URL(), "CREATE TABLE t (n UInt32) ENGINE = MergeTree ORDER BY n")
	run(t, s.URL(), "INSERT INTO t VALUES (1), (2)")
	s.Stop()
	s = storetest.Supervise(t, store.Options{Path: path})
	if got := run(t, s.URL(), "SELECT sum(n) FROM t"); got != "3\n" {
		t.Errorf("sum after a restart %q", got)
	}
}

func TestKilledStoreComesBack(t *testing.T) {
	s := storetest.Supervise(t, store.Options{})
	run(t, s.URL(), "CREATE TABLE t (n UInt32) ENGINE = MergeTree ORDER BY n")
	run(t, s.URL(), "INSERT INTO t VALUES (1), (2)")
	before := s.PID()
	must(t, syscall.Kill(before, syscall.SIGKILL))
	waitFor(t, "the store to come back", func() bool { return s.Restarts() == 1 && answers(s.URL()) })
	if got := run(t, s.URL(), "SELECT sum(n) FROM t"); got != "3\n" {
		t.Errorf("sum after the kill %q", got)
	}
	if s.PID() == before {
		t.Error("the process is the same")
	}
	if end := s.LastEnd(); end == nil || !strings.Contains(end.Reason, "signal: killed") ||
		strings.Contains(end.Reason, "\n") {
		t.Errorf("the end is told as %+v", end)
	}
}

// TestSaysWhyItEnded runs children that end in several ways.
func TestSaysWhyItEnded(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"words":  {"echo 'INFO all is well' >&2; echo 'cannot do it' >&2; exit 1", "cannot do it"},
		"silent": {"exit 3", "exit status 3"},
		"signal": {"echo 'INFO all is well' >&2; kill -ABRT $$", "signal: aborted"},
		"crash": {"echo 'terminate called after throwing' >&2; echo more >&2; kill -SEGV $$",
			"signal: segmentation fault; its last words: terminate called after throwing"},
		"killed":  {"kill -KILL $$", "signal: killed (by somebody, or by the kernel for want of memory: see dmesg)"},
		"success": {"exit 0", "it ended without a word"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := store.Start(t.Context(), store.SupervisorOptions{
				Options: store.Options{Path: t.TempDir(), Listen: "127.0.0.1:0"},
				Command: func([]string) *exec.Cmd { return exec.Command("sh", "-c", c.script) },
			})
			if err == nil || err.Error() != c.want {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

// TestSlowOpening has Start return before the store is open.
func TestSlowOpening(t *testing.T) {
	engine := storetest.Engine()
	if engine == "" {
		t.Skip("no ClickHouse engine: run `make engine`, or set STORE_ENGINE to a libchdb.so")
	}
	go_ := filepath.Join(t.TempDir(), "go")
	s, err := store.Start(t.Context(), store.SupervisorOptions{
		Options:      store.Options{Path: t.TempDir(), Listen: "127.0.0.1:0", Engine: engine},
		StartTimeout: 50 * time.Millisecond,
		Command: func(args []string) *exec.Cmd {
			child := storetest.Command(args)
			cmd := exec.Command("sh",
				append([]string{"-c", `while [ ! -e "$GO" ]; do sleep 0.05; done; exec "$0" "$@"`}, child.Args...)...)
			cmd.Env = append(child.Env, "GO="+go_)
			return cmd
		},
	})
	must(t, err)
	defer s.Stop()
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.WaitOpen(short); err == nil {
		t.Fatal("the store is open before it started")
	}
	must(t, os.WriteFile(go_, nil, 0o600))
	must(t, s.WaitOpen(t.Context()))
	if got := run(t, s.URL(), "SELECT 1"); got != "1\n" {
		t.Error(got)
	}
}

// TestWaitsForTheLock starts a store on the directory of one that is about to end: it still runs a statement.
func TestWaitsForTheLock(t *testing.T) {
	path := t.TempDir()
	s := storetest.Supervise(t, store.Options{Path: path, Grace: time.Minute})
	running := make(chan reply, 1)
	go func() {
		running <- send(t, http.MethodPost, s.URL()+"?wait_end_of_query=1&max_block_size=1",
			"SELECT sum(sleepEachRow(0.1)) + 7 FROM numbers(50)")
	}()
	waitFor(t, "the query to run", func() bool {
		return run(t, s.URL(),
			"SELECT count() FROM system.processes WHERE query LIKE '%sleepEachRow(0.1)%' AND query NOT LIKE "+
				"'%processes%'") == "1\n"
	})
	go s.Stop()
	waitFor(t, "the store to stop answering", func() bool { return !answers(s.URL()) })
	next := storetest.Supervise(t, store.Options{Path: path})
	if r := <-running; r.body != "7\n" {
		t.Errorf("the statement of the first: status %d, %q", r.status, r.body)
	}
	if got := run(t, next.URL(), "SELECT 1"); got != "1\n" {
		t.Error(got)
	}
}

// TestOwner names directories and files of other users, with the command that helps.
func TestOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give a directory to another user")
	}
	path := t.TempDir()
	must(t, os.Chown(path, 1234, 1234))
	for _, want := range []string{path, "uid 1234", "sudo -u '#1234'", "chown -R root"} {
		if _, err := store.Secret(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	must(t, os.Chown(path, 0, 0))
	must(t, os.MkdirAll(filepath.Join(path, "metadata", "default"), 0o755))
	must(t, os.WriteFile(filepath.Join(path, "metadata", "default", "t.sql"), nil, 0o600))
	err := store.RefuseForeignFiles(path, 1234)
	for _, want := range []string{filepath.Join(path, "metadata"), " and 2 more", "belongs to root",
		"chown -R 1234: " + path} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	if err := store.RefuseForeignFiles(path, 0); err != nil {
		t.Error(err)
	}
	must(t, os.Chmod(path, 0o777))
	if _, err := store.Secret(path); err == nil || !strings.Contains(err.Error(), "chmod o-w "+path) {
		t.Errorf("writable by everybody: %v", err)
	}
}

// TestEngineOfOthers refuses to load a library that others can change.
func TestEngineOfOthers(t *testing.T) {
	dir := t.TempDir()
	library := filepath.Join(dir, "libchdb.so")
	must(t, os.WriteFile(library, []byte("text"), 0o600))
	for name, path := range map[string]string{"file": library, "directory": dir} {
		must(t, os.Chmod(path, 0o777))
		_, err := store.Start(t.Context(), store.SupervisorOptions{Command: storetest.Command,
			Options: store.Options{Path: t.TempDir(), Listen: "127.0.0.1:0", Engine: library}})
		if err == nil || !strings.Contains(err.Error(), "chmod o-w "+path) {
			t.Errorf("%s: %v", name, err)
		}
		must(t, os.Chmod(path, 0o700))
	}
}

func answers(url string) bool {
	res, err := http.Get(url + "/ping")
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// waitFor gives up after a minute, which is no measure of anything.
func waitFor(t testing.TB, what string, ready func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ready(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

// TestRefusals starts stores that cannot be: each says why in one line that an operator understands.
func TestRefusals(t *testing.T) {
	running := storetest.Supervise(t, store.Options{})
	used := t.TempDir()
	storetest.StartWith(t, store.Options{Path: used})
	notLibrary := filepath.Join(t.TempDir(), "libchdb.so")
	must(t, os.WriteFile(notLibrary, []byte("text"), 0o600))
	for name, c := range map[string]struct {
		o    store.Options
		want []string
	}{
		"directory in use":    {store.Options{Path: used}, []string{used, "in use by another store"}},
		"directory forbidden": {store.Options{Path: "/proc/store"}, []string{"/proc/store", "cannot be made"}},
		"port in use": {store.Options{Listen: strings.TrimPrefix(running.URL(), "http://")},
			[]string{"cannot listen on", "address already in use", "STORE_LISTEN", "CLICKHOUSE_HOST=127.0.0.1"}},
		"open to others": {store.Options{Listen: "0.0.0.0:0"},
			[]string{"0.0.0.0:0", "no password", "STORE_PASSWORD", "store.insecure"}},
		"open on all": {store.Options{Listen: ":0"}, []string{"no password"}},
		"bad address": {store.Options{Listen: "nowhere"}, []string{"nowhere", "missing port"}},
		"engine missing": {store.Options{Engine: "/nonexistent/libchdb.so"},
			[]string{"/nonexistent/libchdb.so", "make engine", "STORE_ENGINE"}},
		"engine not given": {store.Options{Engine: ""}, []string{"no engine", "make engine"}},
		"engine not library": {store.Options{Engine: notLibrary},
			[]string{notLibrary, "does not load", "make engine"}},
		"bad server setting": {store.Options{Settings: map[string]string{"a b": "1"}},
			[]string{"a b", "not the name of a server setting"}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.o.Path == "" {
				c.o.Path = t.TempDir()
			}
			if c.o.Listen == "" {
				c.o.Listen = "127.0.0.1:0"
			}
			if c.o.Engine == "" && name != "engine not given" {
				c.o.Engine = storetest.Engine()
			}
			s, err := store.Start(t.Context(), store.SupervisorOptions{Options: c.o, Command: storetest.Command})
			if err == nil {
				s.Stop()
				t.Fatal("it starts")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
		})
	}
}

// process starts a store without a supervisor and waits until it answers.
func process(t *testing.T) (*exec.Cmd, string, func() error) {
	t.Helper()
	engine := storetest.Engine()
	if engine == "" {
		t.Skip("no ClickHouse engine: run `make engine`, or set STORE_ENGINE to a libchdb.so")
	}
	address := storetest.FreePort(t)
	o := store.Options{Path: t.TempDir(), Listen: address, Engine: engine}
	cmd := storetest.Command(o.Arguments())
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	waitFor(t, "the store", func() bool { return answers("http://" + address) })
	return cmd, "http://" + address, stdin.Close
}

// TestEndsWithParent closes the pipe that a parent holds open as long as it lives.
func TestEndsWithParent(t *testing.T) {
	cmd, _, closeStdin := process(t)
	must(t, closeStdin())
	if err := cmd.Wait(); err != nil {
		t.Errorf("the store ends with %v", err)
	}
}

// TestTermFinishesQueries asks the store to stop while a query runs: its result still comes whole.
func TestTermFinishesQueries(t *testing.T) {
	cmd, url, _ := process(t)
	result := make(chan reply, 1)
	go func() {
		result <- send(t, http.MethodPost, url+"?wait_end_of_query=1&max_block_size=1",
			"SELECT sum(sleepEachRow(0.1)) + 7 FROM numbers(20)")
	}()
	waitFor(t, "the query to run", func() bool {
		return run(t, url,
			"SELECT count() FROM system.processes WHERE query LIKE '%sleepEachRow(0.1)%' AND query NOT LIKE "+
				"'%processes%'") == "1\n"
	})
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	if r := <-result; r.status != http.StatusOK || r.body != "7\n" {
		t.Errorf("status %d, body %q", r.status, r.body)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the store ends with %v", err)
	}
}

// TestStopByContext ends the context that the supervisor was started with.
func TestStopByContext(t *testing.T) {
	engine := storetest.Engine()
	if engine == "" {
		t.Skip("no ClickHouse engine: run `make engine`, or set STORE_ENGINE to a libchdb.so")
	}
	ctx, cancel := context.WithCancel(t.Context())
	s, err := store.Start(ctx, store.SupervisorOptions{Command: storetest.Command,
		Options: store.Options{Path: t.TempDir(), Listen: "127.0.0.1:0", Engine: engine}})
	must(t, err)
	pid := s.PID()
	cancel()
	s.Stop()
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is still there: %v", pid, err)
	}
}
