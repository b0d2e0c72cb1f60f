package metadata

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/metadata/download"
	"github.com/metranova/flow-collector/metadata/source"
)

func interfaceFile(t testing.TB, path string, more ...string) {
	t.Helper()
	writeFile(t, path, "table: meta_interface\ndata: ["+strings.Join(more, ", ")+"]\n")
}

func has(address string) func(*enrich.Snapshot) bool {
	return func(s *enrich.Snapshot) bool { return hasDevice(s, address) }
}

// becomesTold waits until one of the problems has a text, or with "" until there is none.
func (r *running) becomesTold(part string) {
	r.t.Helper()
	for range 1200 {
		lines := strings.Join(r.Problems(), "\n")
		if part == "" && lines == "" || part != "" && strings.Contains(lines, part) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	r.t.Fatalf("problems %q, want %q; log:%s", r.Problems(), part, r.log())
}

// TestFeedsDelayOnlyThemselves has a registry that hangs, one that wants to be left alone for an hour, and files of the
// operator, which are in force and noticed at once.
func TestFeedsDelayOnlyThemselves(t *testing.T) {
	t.Parallel()
	conn, settings := openStore(t)
	end := make(chan struct{})
	var calls atomic.Int32
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-end:
		case <-r.Context().Done():
		}
	}))
	later := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer later.Close()
	defer hangs.Close()
	defer close(end)
	for _, test := range []struct {
		name, url string
		told      string
	}{
		{"hangs", hangs.URL + "/scireg.json?token=hunter2", ""},
		{"later", later.URL + "/scireg.json?token=hunter2", "Retry-After 1h0m0s"},
	} {
		dir, cache := t.TempDir(), t.TempDir()
		deviceFile(t, filepath.Join(dir, "meta_device.yml"), "one", "192.0.2.1")
		r := startRefresher(t, conn, settings, "", Sources(SourceOptions{
			Dir: dir, CacheDir: cache,
			Registries: map[string]source.RegistrySettings{"scireg": {Places: []string{test.url}, Interval: time.Hour}},
			Client:     download.New(download.Options{}),
		}))
		if !has("192.0.2.1")(r.snapshot.Load()) {
			t.Errorf("%s: the file's device is not in use: %s", test.name, r.log())
		}
		deviceFile(t, filepath.Join(dir, "meta_device.yml"), "one", "192.0.2.11")
		r.becomes("a change is noticed", has("192.0.2.11"))
		if test.told != "" {
			r.becomesTold(test.told)
			if r.says("source not loaded", test.told); strings.Contains(r.log(), "hunter2") {
				t.Errorf("%s: a secret is in the log:%s", test.name, r.log())
			}
			select { // it is told after the line
			case <-r.Complete():
			case <-time.After(time.Minute):
				t.Errorf("%s: every source was tried, and that is not told", test.name)
			}
		}
	}
	if calls.Load() != 1 {
		t.Errorf("%d requests to a server that wants none for an hour", calls.Load())
	}
}

// TestFetchSchedule: after a failure MaxMind is not asked again within an hour, and a server's Retry-After is followed
// for a day at most.
func TestFetchSchedule(t *testing.T) {
	for _, test := range []struct {
		name        string
		err         error
		retryMin    time.Duration
		least, most time.Duration
	}{
		{"a success", nil, 0, 24 * time.Hour, 24 * time.Hour},
		{"a failure", os.ErrDeadlineExceeded, 0, retryGap, retryGap},
		{"MaxMind's failure", os.ErrDeadlineExceeded, time.Hour, time.Hour, time.Hour},
		{"retry after two hours", &download.RetryAfterError{After: 2 * time.Hour}, 0, 2 * time.Hour, 2 * time.Hour},
		{"retry after a year", &download.RetryAfterError{After: 365 * 24 * time.Hour}, 0, 24 * time.Hour,
			24 * time.Hour},
		{"retry after a second", &download.RetryAfterError{After: time.Second}, 0, retryGap, retryGap},
	} {
		r := NewRefresher(RefresherOptions{Sources: []Source{{Name: "x", Interval: 24 * time.Hour,
			RetryMin: test.retryMin}}})
		r.sources = make([]sourceState, 1)
		r.takeFetched(fetchResult{err: test.err})
		if in := time.Until(r.sources[0].fetch.due); in > test.most || in < test.least-10*time.Second {
			t.Errorf("%s: due in %s, want %s", test.name, in, test.least)
		}
		if !r.sources[0].load.isDue(time.Now()) {
			t.Errorf("%s: what is on disk is not loaded", test.name)
		}
	}
}

// TestFailedDownloadOverARestart: a collector that is started again and again does not use up the downloads of a
// MaxMind account.
func TestFailedDownloadOverARestart(t *testing.T) {
	dir := t.TempDir()
	requests, fail := 0, true
	source := Source{
		Name: "geo", Interval: 24 * time.Hour, RetryMin: time.Hour, Attempt: filepath.Join(dir, "cache", "geo.attempt"),
		Fetch: func(context.Context) error {
			if requests++; fail {
				return os.ErrDeadlineExceeded
			}
			return nil
		},
	}
	begin := func() *Refresher { // as a new process
		r := NewRefresher(RefresherOptions{Sources: []Source{source}, Log: zap.NewNop()})
		r.sources = make([]sourceState, 1)
		r.due(0, time.Now())
		var fetches sync.WaitGroup
		r.fetched = make(chan fetchResult, 1)
		r.startFetches(t.Context(), &fetches)
		fetches.Wait()
		return r
	}
	begin()
	for range 3 {
		r := begin()
		if in := time.Until(r.sources[0].fetch.due); in <= 0 || in > time.Hour {
			t.Errorf("after a restart the download is due in %s, want within an hour", in)
		}
		if !r.sources[0].load.isDue(time.Now()) {
			t.Error("what is on disk is not loaded meanwhile")
		}
	}
	if requests != 1 {
		t.Errorf("%d downloads, want one", requests)
	}
	set := func(at time.Time) {
		if err := os.Chtimes(source.Attempt, at, at); err != nil {
			t.Fatal(err)
		}
	}
	set(time.Now().AddDate(1, 0, 0)) // the clock was wrong
	if in := time.Until(begin().sources[0].fetch.due); in > time.Hour {
		t.Errorf("due in %s, want an hour at most", in)
	}
	fail = false
	set(time.Now().Add(-2 * time.Hour))
	begin()
	begin()
	if requests != 3 {
		t.Errorf("%d downloads, want 3: a success is no reason to wait", requests)
	}
}

// TestOneKindShrinks: a kind that becomes empty is kept, the others are not held up, and the operator's word is taken
// without a restart.
func TestOneKindShrinks(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"SIGHUP twice", "--allow-shrink"} {
		t.Run(word, func(t *testing.T) {
			t.Parallel()
			conn, settings := openStore(t)
			dir := t.TempDir()
			devices, interfaces := filepath.Join(dir, "meta_device.yml"), filepath.Join(dir, "meta_interface.yml")
			deviceFile(t, devices, "one", "192.0.2.1")
			interfaceFile(t, interfaces, `{id: "one::1", type: port, device_id: one, name: "1", flow_index: 1}`)
			r := startRefresher(t, conn, settings, filepath.Join(t.TempDir(), "metadata.snapshot"),
				Sources(SourceOptions{Dir: dir}))
			if got := r.snapshot.Load().Stats().Interfaces; got != 1 {
				t.Fatalf("%d interfaces; %s", got, r.log())
			}
			if err := os.Remove(interfaces); err != nil {
				t.Fatal(err)
			}
			r.becomesTold("0 interfaces where the one in use has 1: it stays as it was")
			deviceFile(t, devices, "one", "192.0.2.2")
			r.becomes("a new loopback matches", has("192.0.2.2"))
			if got := r.snapshot.Load().Stats().Interfaces; got != 1 {
				t.Fatalf("%d interfaces: they are not kept; %s", got, r.log())
			}
			r.becomes("the next start has it so too", func(*enrich.Snapshot) bool {
				s, err := LoadSnapshotFile(r.options.File)
				return err == nil && s.Stats().Interfaces == 1 && hasDevice(s, "192.0.2.2")
			})
			if word == "--allow-shrink" {
				if err := AllowShrink(context.Background(), conn, settings); err != nil {
					t.Fatal(err)
				}
			} else {
				r.Reload()
			}
			r.Reload()
			r.becomes("the interface is gone", func(s *enrich.Snapshot) bool { return s.Stats().Interfaces == 0 })
			r.becomesTold("")
		})
	}
}

// TestMissingTable: one extension without a table turns off that extension only, which is told.
func TestMissingTable(t *testing.T) {
	t.Parallel()
	conn, settings := openStore(t)
	settings.IPRefExtensions = []string{"scireg", "cric"}
	dir := t.TempDir()
	deviceFile(t, filepath.Join(dir, "meta_device.yml"), "one", "192.0.2.1")
	r := startRefresher(t, conn, settings, filepath.Join(t.TempDir(), "s"), Sources(SourceOptions{Dir: dir}))
	if !has("192.0.2.1")(r.snapshot.Load()) {
		t.Fatalf("the device is not in use: %s", r.log())
	}
	r.becomesTold("table meta_ip_cric cannot be read")
	r.says("a kind of metadata stays as it was", "meta_ip_cric")
	if err := CreateTables(context.Background(), conn, settings); err != nil {
		t.Fatal(err)
	}
	r.Reload()
	r.becomesTold("")
}

// TestChangesWithoutEvents has what a watch does not see.
func TestChangesWithoutEvents(t *testing.T) {
	t.Parallel()
	conn, settings := openStore(t)
	root := t.TempDir()
	release := func(name, loopback string) string {
		dir := filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		deviceFile(t, filepath.Join(dir, "meta_device.yml"), "one", loopback)
		return dir
	}
	link := func(to, at string) {
		if err := os.Symlink(to, at+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(at+".new", at); err != nil {
			t.Fatal(err)
		}
	}
	current := filepath.Join(root, "current")
	link(release("r1", "192.0.2.1"), current)
	later, elsewhere := filepath.Join(root, "later"), filepath.Join(root, "elsewhere.yml")
	r := startPolling(t, conn, settings, "", Sources(SourceOptions{
		Dir: current, Files: []string{filepath.Join(later, "meta_device.yml")}, CacheDir: t.TempDir(),
	}), 200*time.Millisecond)
	if !has("192.0.2.1")(r.snapshot.Load()) {
		t.Fatal(r.log())
	}
	second := release("r2", "192.0.2.2")
	link(second, current)
	r.becomes("the link leads elsewhere", has("192.0.2.2"))
	deviceFile(t, filepath.Join(second, "meta_device.yml"), "one", "192.0.2.3")
	r.becomes("the file there changes", has("192.0.2.3"))
	if err := os.Rename(second, filepath.Join(root, "away")); err != nil {
		t.Fatal(err)
	}
	second = release("r2", "192.0.2.4")
	r.becomes("the directory is another one", has("192.0.2.4"))
	deviceFile(t, elsewhere, "one", "192.0.2.5")
	link(elsewhere, filepath.Join(second, "meta_device.yml"))
	r.becomes("the file is a link", has("192.0.2.5"))
	deviceFile(t, elsewhere, "one", "192.0.2.6")
	r.becomes("the link's target changes", has("192.0.2.6"))
	if err := os.Mkdir(later, 0o755); err != nil {
		t.Fatal(err)
	}
	deviceFile(t, filepath.Join(later, "meta_device.yml"), "two", "192.0.2.7")
	r.becomes("a directory made later has a file", has("192.0.2.7"))
	writeFile(t, filepath.Join(second, "custom_as_additions.yml"),
		"data:\n  - {id: 64496, name: A, organization_id: o}\n")
	r.becomes("additions come later", func(s *enrich.Snapshot) bool { _, found := s.LookupAS(64496); return found })
	writeFile(t, filepath.Join(second, "custom_as_additions.yml"),
		"data:\n  - {id: 64496, name: Another, organization_id: o}\n")
	r.becomes("additions change", func(s *enrich.Snapshot) bool {
		as,
			_ := s.LookupAS(64496)
		return as.Name == "Another"
	})
}

// TestFailedDownloadIsAWarning: where the files of an earlier download are in use, that and their date are told, and it
// is no error.
func TestFailedDownloadIsAWarning(t *testing.T) {
	file := filepath.Join(t.TempDir(), "scireg-1.json")
	writeFile(t, file, "[]")
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := os.Chtimes(file, at, at); err != nil {
		t.Fatal(err)
	}
	failed, unreadable := errors.New("no such host"), errors.New("not JSON")
	for _, test := range []struct {
		name              string
		downloads, files  []string
		nothing           bool
		fetchErr, loadErr error
		level             zapcore.Level
		told              string
	}{
		{"an earlier file is used", []string{file}, nil, false, failed, nil, zap.WarnLevel,
			"download failed: no such host; in use: " + file + " of 2026-01-02 03:04"},
		{"the operator's file is used", []string{file + ".gz"}, []string{file, file + ".2"}, false, failed, nil,
			zap.WarnLevel, "in use: " + file + " of 2026-01-02 03:04"},
		{"none was ever downloaded", []string{file + ".gz"}, nil, true, failed, nil, zap.ErrorLevel, "no such host"},
		{"one of two was downloaded", []string{file, file + ".gz"}, []string{file}, true, failed, nil, zap.ErrorLevel,
			"no such host"},
		{"nor can the earlier be read", []string{file}, nil, false, failed, unreadable, zap.ErrorLevel, "not JSON"},
		{"it cannot be read", []string{file}, nil, false, nil, unreadable, zap.ErrorLevel, "not JSON"},
	} {
		core, logged := observer.New(zap.DebugLevel)
		r := NewRefresher(RefresherOptions{Log: zap.New(core)})
		s := Source{Name: "scireg", Downloads: test.downloads, Files: func() []string { return test.files }}
		r.sayLoaded(&s, test.nothing, test.fetchErr, test.loadErr)
		lines := logged.All()
		if told := strings.Join(r.Problems(), "\n"); len(lines) != 1 || lines[0].Level != test.level ||
			!strings.Contains(told, test.told) {
			t.Errorf("%s: %v, and told %q; want one line of level %s, and %q", test.name, lines, told, test.level,
				test.told)
		}
		if r.sayLoaded(&s, false, nil, nil); len(r.Problems()) > 0 {
			t.Errorf("%s: after a success: %v", test.name, r.Problems())
		}
	}
}
