package web

import (
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/metranova/flow-collector/collector/status"
)

// The page is served by the process that receives datagrams. Therefore its cost is limited: connections, pages that are
// rendered at once, and how often a report is computed.
const (
	maxConnections = 128
	maxOfOne       = 64              // of one IP address
	maxPages       = 4               // at once; others wait
	pageWait       = 5 * time.Second // for a free slot
	reportAge      = time.Second
)

// turns lets next serve at most maxPages requests at once. A request that has to wait for too long is told to try
// again.
func turns(next http.HandlerFunc, slots chan struct{}, wait time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			next(w, r)
		case <-r.Context().Done():
		case <-timer.C:
			w.Header().Set("Retry-After", "5")
			writeText(w, http.StatusServiceUnavailable, "too many pages are asked for at once: try again\n")
		}
	}
}

// reports caches a report and its JSON for a second. It is safe for concurrent use.
type reports struct {
	make func() *status.Report

	mu     sync.Mutex
	at     time.Time
	report *status.Report
	text   []byte
}

// get returns the report, which must not be changed.
func (r *reports) get() *status.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current()
}

func (r *reports) current() *status.Report {
	if r.report == nil || time.Since(r.at) >= reportAge {
		r.report, r.text = r.make(), nil
		r.at = time.Now()
	}
	return r.report
}

// json returns the report's JSON, which must not be changed.
func (r *reports) json() ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	report := r.current()
	if r.text == nil {
		text, err := json.MarshalIndent(report, "", "  ")
		if err != nil {
			return nil, err
		}
		r.text = append(text, '\n')
	}
	return r.text, nil
}

// KnownHost reports whether a Host header is accepted. So no other site can read the responses through a name of its
// own that resolves to this host. IP addresses and localhost are always accepted. Without a list of names all are.
func KnownHost(names []string, host string) bool {
	if len(names) == 0 {
		return true
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if _, err := netip.ParseAddr(host); err == nil || strings.EqualFold(host, "localhost") {
		return true
	}
	return slices.ContainsFunc(names,
		func(name string) bool { return strings.EqualFold(name, strings.TrimSuffix(host, ".")) })
}
