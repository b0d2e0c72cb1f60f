package store

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"
)

func TestDefaultBounds(t *testing.T) {
	const gib = 1 << 30
	for name, c := range map[string]struct {
		given       Options
		queries     int
		queryMemory uint64
	}{
		"a machine of 24 GiB":   {Options{Memory: 12 * gib}, 8, 768 << 20},
		"of 8 GiB":              {Options{Memory: 4 * gib}, 8, 256 << 20},
		"of 4 GiB":              {Options{Memory: 2 * gib}, 4, 256 << 20},
		"of 1 GiB":              {Options{Memory: gib / 2}, 2, 256 << 20},
		"few queries":           {Options{Memory: 12 * gib, Queries: 2}, 2, 3 * gib},
		"memory of a query":     {Options{Memory: 12 * gib, QueryMemory: 5 * gib}, 8, 5 * gib},
		"memory as it is found": {Options{QueryMemory: 1, Queries: 3}, 3, 1},
	} {
		got := c.given.withBounds()
		if got.Queries != c.queries || got.QueryMemory != c.queryMemory {
			t.Errorf("%s: %d queries of %d MiB, want %d of %d", name, got.Queries, got.QueryMemory>>20, c.queries,
				c.queryMemory>>20)
		}
		if got.Memory == 0 || got.QueryTime == 0 || got.QueryRows == 0 {
			t.Errorf("%s: without a bound: %+v", name, got)
		}
	}
}

// TestAvailableMemory lays out control groups as cgroups(7) describes them.
func TestAvailableMemory(t *testing.T) {
	machine := availableMemory(t.TempDir())
	if machine < 256<<20 {
		t.Fatalf("the machine has %d bytes", machine)
	}
	const unified = "0::/system.slice/collector.service\n"
	for name, c := range map[string]struct {
		groups string
		limits map[string]string // by path below /sys/fs/cgroup
		want   uint64
	}{
		"no limit": {unified, map[string]string{"system.slice/collector.service/memory.max": "max\n"},
			machine},
		"a limit": {unified,
			map[string]string{"system.slice/collector.service/memory.max": "200000000\n"}, 200000000},
		"of the group above": {unified, map[string]string{"system.slice/memory.max": "200000001\n",
			"system.slice/collector.service/memory.max": "max\n"}, 200000001},
		"the least of several": {unified, map[string]string{"memory.max": "200000003",
			"system.slice/memory.max": "200000002\n", "system.slice/collector.service/memory.max": "200000004\n"},
			200000002},
		"a container": {"0::/\n", map[string]string{"memory.max": "200000000\n"}, 200000000},
		"a container, first version": {"7:memory:/docker/abc\n0::/\n",
			map[string]string{"memory/memory.limit_in_bytes": "200000005\n"}, 200000005},
		"first version, no limit": {"7:memory:/docker/abc\n3:cpu:/\n",
			map[string]string{"memory/docker/abc/memory.limit_in_bytes": "9223372036854771712\n"}, machine},
		"not to be read": {"nothing\n0::\n", nil, machine},
	} {
		root := t.TempDir()
		write := func(path, text string) {
			t.Helper()
			path = filepath.Join(root, path)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		write("proc/self/cgroup", c.groups)
		for path, text := range c.limits {
			write(filepath.Join("sys/fs/cgroup", path), text)
		}
		if got := availableMemory(root); got != c.want {
			t.Errorf("%s: %d bytes, want %d", name, got, c.want)
		}
	}
}

// TestPlaces_waitingIsBounded fills the places and the line: the next statement is refused at once.
func TestPlaces_waitingIsBounded(t *testing.T) {
	p := newPlaces(1, zap.NewNop())
	free, err := p.take(t.Context(), queryPlaces, "SELECT 1")
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan error, maxWaiting)
	for range maxWaiting {
		go func() {
			free, err := p.take(t.Context(), queryPlaces, "SELECT 2")
			if err == nil {
				defer free()
			}
			results <- err
		}()
	}
	for p.waiting[queryPlaces].Load() < maxWaiting {
		time.Sleep(time.Millisecond)
	}
	if _, err := p.take(t.Context(), queryPlaces, "SELECT 3"); err == nil {
		t.Error("one more than may wait waits")
	}
	if free, err := p.take(t.Context(), ownPlaces, "SELECT 4"); err != nil {
		t.Errorf("the collector's own: %v", err)
	} else {
		free()
	}
	free()
	for range maxWaiting {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if n := p.waiting[queryPlaces].Load(); n != 0 {
		t.Errorf("%d wait", n)
	}
}
