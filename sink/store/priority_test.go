package store_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/metranova/flow-collector/sink/store"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

// The store's threads have a lower priority than those of the collector, which started it; the collector's own keep
// theirs. Some of the engine's threads choose another one. Merges have theirs only while they run, so the test reads
// the setting. So do those of statements where the engine may change it (TestPriorityOfQueries).
func TestPriority(t *testing.T) {
	if _, own := niceOf(t, "/proc/self"); own >= 5 {
		t.Skipf("the tests themselves run with nice %d", own)
	}
	s := storetest.Supervise(t, store.Options{})
	run(t, s.URL(), "CREATE TABLE t (n UInt32) ENGINE = MergeTree ORDER BY n")
	run(t, s.URL(), "INSERT INTO t VALUES (1)")
	tasks, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(s.PID()), "task", "[0-9]*"))
	must(t, err)
	seen := 0
	if _, own := niceOf(t, "/proc/self"); own >= 5 {
		t.Errorf("the collector itself has nice %d now", own)
	}
	for _, task := range tasks {
		name, nice := niceOf(t, task)
		answers := name == "ThreadPool" || name == filepath.Base(os.Args[0])
		if name != "BgSchPool" && (!answers || mayRenice(t)) {
			continue
		}
		seen++
		if nice != 5 {
			t.Errorf("thread %s has nice %d", name, nice)
		}
	}
	if seen < 3 {
		t.Errorf("%d threads with the store's priority, of %d", seen, len(tasks))
	}
	if got := run(t, s.URL(),
		"SELECT value FROM system.server_settings WHERE name = 'os_threads_nice_value_merge_mutate'"); got != "19\n" {
		t.Errorf("merges have nice %q", got)
	}
}

// A query has a lower priority than inserts while it runs, where the engine may change that.
func TestPriorityOfQueries(t *testing.T) {
	if !mayRenice(t) {
		t.Skip("the tests have no CAP_SYS_NICE")
	}
	if _, own := niceOf(t, "/proc/self"); own > 5 {
		t.Skipf("the tests themselves run with nice %d", own)
	}
	s := storetest.Supervise(t, store.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	answered := make(chan error, 1)
	go func() {
		answered <- ask(ctx, s.URL(), "SELECT sleepEachRow(0.01) FROM numbers(100000) SETTINGS max_block_size = 10")
	}()
	for {
		tasks, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(s.PID()), "task", "[0-9]*"))
		must(t, err)
		for _, task := range tasks {
			if _, nice := niceOf(t, task); nice == 10 {
				return
			}
		}
		select {
		case err := <-answered:
			t.Fatalf("the query ended (%v), and no thread had nice 10", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func mayRenice(t *testing.T) bool {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	must(t, unix.Capget(&header, &data[0]))
	return data[0].Effective&(1<<unix.CAP_SYS_NICE) != 0
}

func ask(ctx context.Context, url, sql string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(sql))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// niceOf reads the name and the nice value out of a thread's or process's stat file (proc(5)): fields 2 and 19.
func niceOf(t *testing.T, dir string) (name string, nice int) {
	t.Helper()
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return "gone", 19
	}
	before, after, _ := strings.Cut(string(stat), ") ")
	_, name, _ = strings.Cut(before, "(")
	nice, err = strconv.Atoi(strings.Fields(after)[16])
	must(t, err)
	return name, nice
}
