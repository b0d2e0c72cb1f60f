package main

import (
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/capture"
	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/collector/routing"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
)

// capturedRoutes are those of the BGP and BMP sessions in captures. The zero value has none.
type capturedRoutes struct {
	sessions *routing.Recorded // nil: no session was seen
	finder   *enrich.Finder
	failed   error
}

// take takes bytes of a TCP stream, and reports whether it reads them. The routing table is made for the first session.
func (c *capturedRoutes) take(s capture.Segment) bool {
	if c.sessions == nil {
		if c.failed != nil || !s.First || !routing.IsSession(s.Data) {
			return false
		}
		c.sessions, c.failed = routing.OpenRecorded(routing.Options{Log: zap.NewNop(), HoldTime: time.Hour,
			KeepStale: 24 * time.Hour, BMP: routing.BMPOptions{KeepStale: 24 * time.Hour}})
		if c.failed != nil {
			return false
		}
		c.finder = enrich.NewFinder(enrich.RouteOptions{RIB: c.sessions.RIB()})
	}
	return c.sessions.Segment(s)
}

// find looks a record's routes up.
func (c *capturedRoutes) find(r *flow.Record, use func(*enrich.Found)) {
	if c.finder != nil {
		c.finder.Find(r, use)
	}
}

// printSeen says what sessions the captures held.
func (c *capturedRoutes) printSeen(out io.Writer) {
	if c.sessions == nil {
		return
	}
	s := c.sessions.Stats()
	fmt.Fprintf(out, "%s of %s and %s\n", commandline.Count(s.RIB.Routes, "route"),
		commandline.Count(len(s.Sessions), "BGP session"), commandline.Count(len(s.BMP.Sessions), "BMP session"))
}

func (c *capturedRoutes) close() {
	if c.sessions != nil {
		_ = c.sessions.Close()
	}
}
