package store_test

import (
	"context"
	"errors"
	"net"
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
	want := store.Options{Path: "/data", Listen: "[::1]:9", Engine: "/lib x.so", User: "noc", Password: "p", Queries: 3, Memory: 1 << 33,
		QueryMemory: 5, Settings: map[string]string{"mark_cache_size": "1", "merge_tree.x": "a=b"}, Grace: time.Second, Insecure: true, NoLandlock: true, Hosts: []string{"flows.example.org", "flows"}}
	args := want.Arguments()
	if strings.Contains(strings.Join(args, " "), " p ") {
		t.Errorf("the password is among the arguments: %q", args)
	}
	got, err := store.OptionsFromArguments(args, func(string) string { return "p" })
	must(t, err)
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(store.Options{}, "Log")); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for name, args := range map[string][]string{"no path": {}, "unknown": {"-path", "x", "-nope"}, "bad set": {"-path", "x", "-set", "a"}} {
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
		"port in use":         {store.Options{Listen: strings.TrimPrefix(running.URL(), "http://")}, []string{"cannot listen on", "address already in use"}},
		"bad address":         {store.Options{Listen: "nowhere"}, []string{"nowhere", "missing port"}},
		"engine missing":      {store.Options{Engine: "/nonexistent/libchdb.so"}, []string{"/nonexistent/libchdb.so", "make engine", "STORE_ENGINE"}},
		"engine not given":    {store.Options{Engine: ""}, []string{"no engine", "make engine"}},
		"engine not library":  {store.Options{Engine: notLibrary}, []string{notLibrary, "does not load", "make engine"}},
		"bad server setting":  {store.Options{Settings: map[string]string{"a b": "1"}}, []string{"a b", "not the name of a server setting"}},
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
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := l.Addr().String()
	l.Close()
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
		result <- send(t, http.MethodPost, url+"?wait_end_of_query=1&max_block_size=1", "SELECT sum(sleepEachRow(0.1)) + 7 FROM numbers(20)")
	}()
	waitFor(t, "the query to run", func() bool {
		return run(t, url, "SELECT count() FROM system.processes WHERE query LIKE '%sleepEachRow(0.1)%' AND query NOT LIKE '%processes%'") == "1\n"
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
