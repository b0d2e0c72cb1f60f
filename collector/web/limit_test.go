package web

import (
	"encoding/json"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/status"
)

// Clients that hold connections open do not lock others out.
func TestServer_idleConnectionsMakePlace(t *testing.T) {
	s := listenForTest(t, Options{})
	for range 3 * maxConnections {
		conn, err := net.Dial("tcp", s.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	if answer, _ := get(t, s, "/healthz"); answer.StatusCode != http.StatusOK {
		t.Errorf("/healthz: %s", answer.Status)
	}
}

// However many ask at once, the report is made once a second and few pages at once.
func TestExporters_manyAtOnce(t *testing.T) {
	s := listenForTest(t, Options{})
	var made, now, most atomic.Int64
	s.Show(Exporters{
		Report: func() *status.Report { made.Add(1); return exampleReport() },
		Top: func(*http.Request) *status.TopTraffic {
			for n := now.Add(1); ; {
				m := most.Load()
				if n <= m || most.CompareAndSwap(m, n) {
					break
				}
			}
			time.Sleep(time.Millisecond)
			now.Add(-1)
			return &status.TopTraffic{Minutes: 10}
		},
		Log: zap.NewNop(),
	})
	began := time.Now()
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			if answer, _ := get(t, s, "/exporters"); answer.StatusCode != http.StatusOK {
				t.Errorf("/exporters: %s", answer.Status)
			}
		})
	}
	all.Wait()
	if got, allowed := made.Load(), 2+int64(time.Since(began)/reportAge); got > allowed {
		t.Errorf("the report was made %d times in %s", got, time.Since(began))
	}
	if got := most.Load(); got > maxPages {
		t.Errorf("%d pages were made at once, want at most %d", got, maxPages)
	}
}

// The encoding in parts is that of the whole.
func TestReportJSON(t *testing.T) {
	full, one, none := exampleReport(), exampleReport(), exampleReport()
	one.Exporters = one.Exporters[:1]
	one.Exporters[0].Device = "[] <&>"
	none.Exporters = []status.Exporter{}
	for _, r := range []*status.Report{full, one, none} {
		want, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := reportJSON(r); err != nil || string(got) != string(want)+"\n" {
			t.Errorf("%d exporters: %v\n%s\nwant\n%s", len(r.Exporters), err, got, want)
		}
	}
}

// A report of thousands of exporters takes memory, so it is dropped when it is too old to be of use.
func TestReports_areNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made := 0
		r := &reports{make: func() *status.Report { made++; return exampleReport() }}
		for range 2 {
			r.get()
			if _, err := r.json(); err != nil {
				t.Fatal(err)
			}
			if r.get(); r.report == nil || r.text == nil {
				t.Error("a report is not cached")
			}
			time.Sleep(reportAge)
			synctest.Wait()
			if r.report != nil || r.text != nil {
				t.Error("an old report is kept")
			}
		}
		if made != 2 {
			t.Errorf("%d reports were made, want 2", made)
		}
	})
}

func TestTurns_sendsAwayWhoWaitsForTooLong(t *testing.T) {
	slots := make(chan struct{}, 1)
	slots <- struct{}{}
	s := listenForTest(t, Options{})
	s.Handle("GET /busy", turns(func(http.ResponseWriter, *http.Request) { t.Error("it got a turn") }, slots,
		time.Millisecond))
	if answer, _ := get(t, s, "/busy"); answer.StatusCode != http.StatusServiceUnavailable ||
		answer.Header.Get("Retry-After") == "" {
		t.Errorf("got %s", answer.Status)
	}
}

func TestKnownHost(t *testing.T) {
	for _, test := range []struct {
		names []string
		host  string
		want  bool
	}{
		{nil, "evil.example", true},
		{[]string{"flows.example"}, "flows.example:8080", true},
		{[]string{"flows.example"}, "FLOWS.example.", true},
		{[]string{"flows.example"}, "evil.example:8080", false},
		{[]string{"flows.example"}, "flows.example.evil.example", false},
		{[]string{"flows.example"}, "192.0.2.1:8080", true},
		{[]string{"flows.example"}, "[2001:db8::1]:8080", true},
		{[]string{"flows.example"}, "localhost:8080", true},
		{[]string{"flows.example"}, "", false},
	} {
		if got := KnownHost(test.names, test.host); got != test.want {
			t.Errorf("%q of %q: %v", test.host, test.names, got)
		}
	}
}
