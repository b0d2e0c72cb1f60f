package metadata

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/metadata/record"
	"github.com/metranova/flow-collector/metadata/source"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/schema"
)

// running is a Refresher at work.
type running struct {
	*Refresher
	t        *testing.T
	snapshot atomic.Pointer[enrich.Snapshot]
	logs     *observer.ObservedLogs
}

func startRefresher(t *testing.T, conn driver.Conn, settings schema.Settings, file string, sources []Source) *running {
	t.Helper()
	return startPolling(t, conn, settings, file, sources, pollTime)
}

func startPolling(t *testing.T, conn driver.Conn, settings schema.Settings, file string, sources []Source,
	poll time.Duration) *running {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	r := &running{t: t, logs: logs}
	r.Refresher = NewRefresher(RefresherOptions{
		Conn: conn, Settings: settings, Sources: sources, Snapshot: &r.snapshot, File: file, Log: zap.New(core),
	})
	r.settle, r.poll = 50*time.Millisecond, poll
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	select {
	case <-r.Loaded():
	case <-time.After(2 * time.Minute):
		t.Fatal("not loaded")
	}
	return r
}

// becomes waits until cond is true of the snapshot in use.
func (r *running) becomes(what string, cond func(*enrich.Snapshot) bool) {
	r.t.Helper()
	for range 2400 {
		if cond(r.snapshot.Load()) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	r.t.Fatalf("it never became true that %s; log:%s", what, r.log())
}

func (r *running) log() string {
	var b strings.Builder
	for _, e := range r.logs.All() {
		b.WriteString("\n" + e.Message)
		for k, v := range e.ContextMap() {
			if s, ok := v.(string); ok {
				b.WriteString(" " + k + "=" + s)
			}
		}
	}
	return b.String()
}

// says waits until a log line has both texts.
func (r *running) says(message, part string) {
	r.t.Helper()
	for range 2400 {
		for line := range strings.Lines(r.log()) {
			if strings.Contains(line, message) && strings.Contains(line, part) {
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	r.t.Fatalf("no line %q with %q in the log:%s", message, part, r.log())
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func deviceFile(t testing.TB, path, id, loopback string) {
	t.Helper()
	writeFile(t, path, "table: meta_device\ndata:\n  - {id: "+id+", type: router, loopback_ip: [\""+loopback+"\"]}\n")
}

func TestRefresher(t *testing.T) {
	t.Parallel()
	conn, settings := openStore(t)
	dir, cache := t.TempDir(), t.TempDir()
	one, two := filepath.Join(dir, "meta_device.yml"), filepath.Join(dir, "meta_device_two.yml")
	deviceFile(t, one, "one", "192.0.2.1")
	file := filepath.Join(cache, "metadata.snapshot")
	var calls atomic.Int32
	broken := Source{Name: "broken", Files: func() []string { return nil },
		Read: func(context.Context) ([]record.Set, error) {
			calls.Add(1)
			return nil, errors.New("the disk\nis gone")
		}}
	r := startRefresher(t, conn, settings, file, append(Sources(SourceOptions{Dir: dir, CacheDir: cache}), broken))
	has := func(address string) func(*enrich.Snapshot) bool {
		return func(s *enrich.Snapshot) bool { return hasDevice(s, address) }
	}
	if !has("192.0.2.1")(r.snapshot.Load()) {
		t.Fatal("the first load's device is not in use: " + r.log())
	}
	r.says("source not loaded", "error=the disk; is gone")

	// A new file, as an editor makes it: written aside and moved.
	deviceFile(t, filepath.Join(dir, ".new"), "two", "192.0.2.2")
	if err := os.Rename(filepath.Join(dir, ".new"), two); err != nil {
		t.Fatal(err)
	}
	r.becomes("the new file's device matches", has("192.0.2.2"))
	deviceFile(t, one, "one", "192.0.2.11")
	r.becomes("the edited file's device has its new loopback", has("192.0.2.11"))
	if has("192.0.2.1")(r.snapshot.Load()) {
		t.Error("the old loopback still matches")
	}

	// A file that cannot be read leaves everything in force, and is one line with file and line.
	old := r.snapshot.Load()
	writeFile(t, one, "table: meta_device\ndata:\n  - {id: one\n")
	r.says("source not loaded", one+":3: ")
	if r.snapshot.Load() != old {
		t.Error("the snapshot was replaced although nothing changed")
	}
	deviceFile(t, one, "one", "192.0.2.11")

	if err := os.Remove(two); err != nil {
		t.Fatal(err)
	}
	r.becomes("the removed file's device stops matching",
		func(s *enrich.Snapshot) bool { return !hasDevice(s, "192.0.2.2") })
	if !has("192.0.2.11")(r.snapshot.Load()) {
		t.Error("the other file's device stopped matching too")
	}

	n := calls.Load()
	r.Reload()
	r.becomes("Reload reads every source", func(*enrich.Snapshot) bool { return calls.Load() > n })

	// The snapshot file serves where ClickHouse does not answer.
	away, err := clickhouse.New(clickhouse.Options{Addrs: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer away.Close()
	down := startRefresher(t, away, settings, file, Sources(SourceOptions{Dir: dir, CacheDir: cache}))
	if !has("192.0.2.11")(down.snapshot.Load()) {
		t.Error("the device kept in the snapshot file does not match")
	}
	down.says("the metadata in use stays", "")
}

// TestRefresherReloadsDictionaries: what a dictionary was read as when its table was still empty does not stay for its
// lifetime.
func TestRefresherReloadsDictionaries(t *testing.T) {
	t.Parallel()
	conn, settings := openStore(t)
	known := func() (names string) {
		err := conn.QueryRow(t.Context(), `SELECT concat(
			dictGetOrDefault('`+settings.Database+`.meta_application_dict', 'id', 'tcp', 443::UInt16, 'no `+
			`application'), ', ',
			dictGetOrDefault('`+settings.Database+`.meta_as_dict', 'name', 64496, 'no AS'))`).Scan(&names)
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	if got := known(); got != "no application, no AS" {
		t.Fatalf("known before: %s", got)
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "meta_application.yml"),
		"table: meta_application\ndata:\n  - {id: https, protocol: tcp, port_range_min: 443, port_range_max: 443}\n")
	writeFile(t, filepath.Join(dir, "meta_as.yml"),
		"table: meta_as\ndata:\n  - {id: 64496, name: UNI-A, organization_id: a}\n")
	startRefresher(t, conn, settings, "", Sources(SourceOptions{Dir: dir, CacheDir: t.TempDir()}))
	if got := known(); got != "https, UNI-A" {
		t.Errorf("known after the metadata was loaded: %s", got)
	}
}

// TestRefresherRefusesLoss has tables that somebody emptied: the snapshot in use stays.
func TestRefresherRefusesLoss(t *testing.T) {
	t.Parallel()
	conn, settings := openStore(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "meta_device.yml")
	deviceFile(t, path, "one", "192.0.2.1")
	// A snapshot file that is not whole is as good as none.
	file := filepath.Join(t.TempDir(), "metadata.snapshot")
	writeFile(t, file, fileMagic+"half")
	r := startRefresher(t, conn, settings, file, Sources(SourceOptions{Dir: dir}))
	r.says("the metadata saved by the last run cannot be used", "not a complete snapshot file")
	if err := conn.Exec(context.Background(), "TRUNCATE TABLE meta_device"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, filepath.Join(dir, "away")); err != nil {
		t.Fatal(err)
	}
	r.Reload()
	r.says("a kind of metadata stays as it was",
		"0 devices where the one in use has 1: it stays as it was. If the new one is right: collector metadata load "+
			"all --allow-shrink")
	if !hasDevice(r.snapshot.Load(), "192.0.2.1") {
		t.Error("the device does not match any more")
	}
}

func TestSchedule(t *testing.T) {
	var s schedule
	if s.done(0, false); !s.due.IsZero() {
		t.Error("due again although there is no interval")
	}
	s.done(time.Hour, false)
	if left := time.Until(s.due); left < 59*time.Minute || left > time.Hour {
		t.Errorf("due in %s, want an hour", left)
	}
	for n, want := range []time.Duration{retryGap, 2 * retryGap, 4 * retryGap} {
		if s.done(time.Hour, true); time.Until(s.due) > want || time.Until(s.due) < want-time.Second {
			t.Errorf("due in %s after %d failures, want %s", time.Until(s.due), n+1, want)
		}
	}
	for range 20 {
		s.done(time.Hour, true)
	}
	if time.Until(s.due) > retryMax {
		t.Errorf("due in %s, want at most %s", time.Until(s.due), retryMax)
	}
	if s.done(time.Hour, false); s.failed != 0 {
		t.Error("a success does not end the series of failures")
	}
}

// TestSourcesOverHTTP downloads each source from a server of the test: the newest month and day that there is,
// MaxMind's zips with an account, a registry. When the server fails, the files of the last time are read.
func TestSourcesOverHTTP(t *testing.T) {
	var down, noDump atomic.Bool
	var lock sync.Mutex
	var asked []string
	zips := map[string][]byte{
		"/geo/GeoLite2-ASN-CSV/download": zipOf(t, map[string]string{
			"GeoLite2-ASN-CSV_20240305/GeoLite2-ASN-Blocks-IPv4.csv": "network,autonomous_system_number," +
				"autonomous_system_organization\n192.0.2.0/24,64496,A\n"}),
		"/geo/GeoLite2-City-CSV/download": zipOf(t, map[string]string{
			"x/GeoLite2-City-Locations-en.csv": "geoname_id,locale_code,continent_code,continent_name," +
				"country_iso_code,country_name,subdivision_1_iso_code,subdivision_1_name,city_name\n" +
				"1,en,EU,Europe,CH,Switzerland,,,\n",
			"x/GeoLite2-City-Blocks-IPv4.csv": "network,geoname_id,latitude,longitude\n192.0.2.0/25,1,,\n"}),
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lock.Lock()
		asked = append(asked, r.URL.Path)
		lock.Unlock()
		switch {
		case down.Load(), noDump.Load() && strings.HasPrefix(r.URL.Path, "/caida/peeringdb"):
			w.WriteHeader(http.StatusInternalServerError)
		case r.URL.Path == "/caida/as-organizations/20240101.as-org2info.jsonl.gz":
			_,
				_ = w.Write([]byte(`{"type":"Organization","organizationId":"O","name":"Org","country":"CH"}` + "\n" +
				`{"type":"ASN","asn":"64496","organizationId":"O","name":"A"}` + "\n"))
		case r.URL.Path == "/caida/peeringdb/2024/02/peeringdb_2_dump_2024_02_29.json":
			_,
				_ = w.Write([]byte(
				`{"org":{"data":[{"id":1,"name":"P"}]},"net":{"data":[{"org_id":1,"asn":64497,"name":"B"}]}}`))
		case zips[r.URL.Path] != nil:
			if user, key, _ := r.BasicAuth(); user != "7" || key != "secret" {
				t.Errorf("account %q, key %q", user, key)
			}
			_, _ = w.Write(zips[r.URL.Path])
		case r.URL.Path == "/scireg.json":
			_, _ = w.Write([]byte(`[{"scireg_id":1,"addresses":["192.0.2.1"]}]`))
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	o := SourceOptions{
		CacheDir: t.TempDir(), Client: quickClient(), CAIDAURL: server.URL + "/caida", MaxMindURL: server.URL + "/geo",
		CAIDADownload: true,
		Registries:    map[string]source.RegistrySettings{"scireg": {Places: []string{server.URL + "/scireg.json"}}},
		Now:           func() time.Time { return time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC) },
	}
	o.MaxMind.Username, o.MaxMind.Password = "7", "secret"
	want := map[string]string{
		"caida":  "meta_organization caida:O, meta_organization peeringdb:1, meta_as 64496, meta_as 64497",
		"geo":    "meta_as_prefix 192.0.2.0/24, meta_ip 192.0.2.0/25",
		"scireg": "meta_ip_scireg 1",
		"files":  "",
	}
	for _, failing := range []bool{false, true} {
		down.Store(failing)
		for _, s := range Sources(o) {
			sets, err := s.Read(context.Background())
			if got := idsOf(t, sets); got != want[s.Name] {
				t.Errorf("%s, server failing %v: %s, want %s", s.Name, failing, got, want[s.Name])
			}
			if remote := s.Name != "files"; s.Remote != remote || (err != nil) != (failing && remote) {
				t.Errorf("%s, server failing %v: remote %v, %v", s.Name, failing, s.Remote, err)
			}
			if err != nil && (!strings.Contains(err.Error(), "HTTP 500") || strings.Contains(err.Error(), "secret")) {
				t.Errorf("%s: %v", s.Name, err)
			}
		}
	}
	wantAsked := []string{
		"/caida/as-organizations/20240301.as-org2info.jsonl.gz",
		"/caida/as-organizations/20240201.as-org2info.jsonl.gz",
		"/caida/as-organizations/20240101.as-org2info.jsonl.gz",
		"/caida/peeringdb/2024/03/peeringdb_2_dump_2024_03_01.json",
		"/caida/peeringdb/2024/02/peeringdb_2_dump_2024_02_29.json",
	}
	if got := strings.Join(asked[:len(wantAsked)], "\n"); got != strings.Join(wantAsked, "\n") {
		t.Errorf("asked for\n%s", got)
	}

	// Without the files of the last time half of it is not taken for all, and there may be nothing to read.
	o.CacheDir = t.TempDir()
	down.Store(false)
	noDump.Store(true)
	if sets, err := Sources(o)[0].Read(context.Background()); len(sets) > 0 || err == nil {
		t.Errorf("CAIDA without PeeringDB: %d sets, %v", len(sets), err)
	}
	down.Store(true)
	o.CacheDir = t.TempDir()
	for _, s := range Sources(o) {
		if sets, err := s.Read(context.Background()); s.Remote && (len(sets) > 0 || err == nil) {
			t.Errorf("%s: %d sets, %v", s.Name, len(sets), err)
		}
	}
}

// TestSourcesOnlyOfAdditions has an operator without CAIDA's and MaxMind's files.
func TestSourcesOnlyOfAdditions(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "custom_as_additions.yml"), "data:\n  - {id: 64496, name: A, organization_id: o}\n")
	writeFile(t, filepath.Join(dir, "custom_ip_additions.yml"), "data:\n  - {id: n, ip_subnet: [[192.0.2.0, 24]]}\n")
	conn, settings := openStore(t)
	for _, s := range Sources(SourceOptions{Dir: dir}) {
		sets, err := s.Read(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		mustLoad(t, NewLoader(conn, settings), sets...)
	}
	s := mustBuild(t, conn, settings)
	if m, _ := s.LookupIP(netip.MustParseAddr("192.0.2.9")); m.Ref != "n__v1" {
		t.Errorf("%+v, want n__v1", m)
	}
	if a, _ := s.LookupAS(64496); a.Name != "A" {
		t.Errorf("%+v, want A", a)
	}
}

// What a source was read into is given back at once, also where it brings nothing new and no snapshot is made.
func TestRefresher_givesMemoryBack(t *testing.T) {
	conn, settings := openStore(t)
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // what is given back is given back on purpose
	gone := make(chan struct{})
	large := Source{Name: "large", Files: func() []string { return nil },
		Read: func(context.Context) ([]record.Set, error) {
			runtime.AddCleanup(new([1 << 20]byte), func(gone chan struct{}) { close(gone) }, gone)
			return nil, nil
		}}
	startRefresher(t, conn, settings, "", []Source{large})
	select {
	case <-gone:
	case <-time.After(2 * time.Minute):
		t.Error("the memory is still in use")
	}
}

func TestRefresher_anotherConfiguration(t *testing.T) {
	t.Parallel()
	conn, settings := openStore(t)
	first, second := t.TempDir(), t.TempDir()
	deviceFile(t, filepath.Join(first, "meta_device.yml"), "one", "192.0.2.1")
	deviceFile(t, filepath.Join(second, "meta_device.yml"), "two", "192.0.2.1")
	r := startRefresher(t, conn, settings, "", Sources(SourceOptions{Dir: first}))
	device := func(id string) func(*enrich.Snapshot) bool {
		return func(s *enrich.Snapshot) bool {
			d, _ := s.LookupDevice(netip.MustParseAddr("192.0.2.1"))
			return d.ID == id
		}
	}
	r.becomes("the device is of the first directory", device("one"))
	r.Configure(Configuration{Sources: Sources(SourceOptions{Dir: second})})
	r.becomes("the device is of the second directory", device("two"))
	deviceFile(t, filepath.Join(second, "meta_device.yml"), "three", "192.0.2.1")
	r.becomes("a change in the second directory is noticed", device("three"))
}

func TestRefresher_reloadWatchesADirectoryThatCameLater(t *testing.T) {
	t.Parallel()
	conn, settings := openStore(t)
	dir := filepath.Join(t.TempDir(), "later")
	r := startRefresher(t, conn, settings, "", Sources(SourceOptions{Dir: dir}))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r.Reload()
	// Nothing says when the reload is done, so the file is written until it is seen.
	for range 600 {
		deviceFile(t, filepath.Join(dir, "meta_device.yml"), "one", "192.0.2.1")
		time.Sleep(200 * time.Millisecond)
		if hasDevice(r.snapshot.Load(), "192.0.2.1") {
			return
		}
	}
	t.Fatal("a file in a directory that came later is not noticed: " + r.log())
}
