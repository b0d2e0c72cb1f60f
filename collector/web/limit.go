package web

import (
	"bytes"
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

// reports caches a report and its JSON for a second. With thousands of exporters, which a flood can make, they take
// tens of megabytes, so they are not kept for longer. It is safe for concurrent use.
type reports struct {
	make func() *status.Report

	mu     sync.Mutex
	report *status.Report // nil: none is cached
	text   []byte
}

// get returns the report, which must not be changed.
func (r *reports) get() *status.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current()
}

func (r *reports) current() *status.Report {
	if r.report == nil {
		r.report = r.make()
		time.AfterFunc(reportAge, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.report, r.text = nil, nil
		})
	}
	return r.report
}

// json returns the report's JSON, which must not be changed.
func (r *reports) json() ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	report := r.current()
	if r.text == nil {
		text, err := reportJSON(report)
		if err != nil {
			return nil, err
		}
		r.text = text
	}
	return r.text, nil
}

// reportJSON encodes a report as json.MarshalIndent does, one exporter after the other: the encoder's copies of the
// whole would take several times its size.
func reportJSON(report *status.Report) ([]byte, error) {
	const perExporter = 1400 // bytes, with a verdict or two
	out := bytes.NewBuffer(make([]byte, 0, (len(report.Exporters)+4)*perExporter))
	whole := *report
	whole.Exporters = []status.Exporter{}
	frame, err := json.MarshalIndent(&whole, "", "  ")
	if err != nil {
		return nil, err
	}
	const empty = `[]`
	i := bytes.LastIndex(frame, []byte(empty)) // of exporters, the last key
	out.Write(frame[:i+1])
	for n := range report.Exporters {
		one, err := json.MarshalIndent(&report.Exporters[n], "    ", "  ")
		if err != nil {
			return nil, err
		}
		if n > 0 {
			out.WriteByte(',')
		}
		out.WriteString("\n    ")
		out.Write(one)
	}
	if len(report.Exporters) > 0 {
		out.WriteString("\n  ")
	}
	out.Write(frame[i+1:])
	out.WriteByte('\n')
	return out.Bytes(), nil
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
