package store_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/sink/store"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

// The store's threads have a lower priority than those of the collector, which started it; the collector's own keep
// theirs. Some of the engine's threads choose another one. Merges have theirs only while they run, so the test reads
// the setting.
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
		if name != "ThreadPool" && name != filepath.Base(os.Args[0]) {
			continue
		}
		seen++
		if nice != 5 {
			t.Errorf("thread %s has nice %d", name, nice)
		}
	}
	if seen < 3 {
		t.Errorf("%d threads that answer, of %d", seen, len(tasks))
	}
	if got := run(t, s.URL(),
		"SELECT value FROM system.server_settings WHERE name = 'os_threads_nice_value_merge_mutate'"); got != "19\n" {
		t.Errorf("merges have nice %q", got)
	}
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
