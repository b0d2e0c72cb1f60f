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

// The page is answered by the process that receives datagrams. So what it may take is bounded: connections, pages that
// are made at once, and how often a report is.
const (
	maxConnections = 128
	maxOfOne       = 64              // of one IP address
	maxPages       = 4               // at once; others wait their turn
	pageWait       = 5 * time.Second // for it
	reportAge      = time.Second
)

// turns has at most maxPages requests answered at once by next. One that does not get its turn is told to come back.
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

// reports keeps a report for a second, with its JSON: however often it is asked for, it is made once. It is safe for
// concurrent use.
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

// knownHost reports whether a Host header is one of the names that are answered: no other page can then read the
// answers through a name of its own that it has lead here. IP addresses and localhost always are. Without names all
// are.
func knownHost(names []string, host string) bool {
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
