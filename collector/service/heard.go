package service

import (
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
)

// heard writes a line for each exporter that is heard for the first time. It belongs to one goroutine.
type heard struct {
	log   *zap.Logger
	known map[*exporter.Stream]bool
	lines int // in the minute that ends at until
	until time.Time
	more  int // exporters of that minute without a line
}

// maxHeard is how many such lines there are in a minute: sources can be forged.
const maxHeard = 20

// newHeard returns one that has heard nobody.
func newHeard(log *zap.Logger) *heard {
	return &heard{log: log, known: map[*exporter.Stream]bool{}}
}

// lookAt tells of the workers' streams that were not there before.
func (h *heard) lookAt(ws *workers, now time.Time) {
	var streams []*exporter.Stream
	for _, table := range ws.exporters() {
		streams = append(streams, table.Streams()...)
	}
	settings := ws.settings.Load()
	h.look(now, streams, ws.snapshot.Load(), func(s *exporter.Stream) flow.Addr { return nameOf(s, settings) })
}

// look tells of the streams that were not there before. name is the address by which rows name an exporter.
func (h *heard) look(now time.Time, streams []*exporter.Stream, snapshot *enrich.Snapshot,
	name func(*exporter.Stream) flow.Addr) {
	if now.After(h.until) {
		h.tellMore()
		h.lines, h.until = 0, now.Add(time.Minute)
	}
	present := make(map[*exporter.Stream]bool, len(streams))
	for _, s := range streams {
		present[s] = true
		if h.known[s] {
			continue
		}
		if h.lines++; h.lines > maxHeard {
			h.more++
			continue
		}
		h.tell(s, snapshot, name(s))
	}
	h.known = present
}

func (h *heard) tell(s *exporter.Stream, snapshot *enrich.Snapshot, name flow.Addr) {
	fields := []zap.Field{zap.Stringer("exporter", name), zap.Stringer("protocol", s.Key.Protocol),
		zap.Uint32("domain", s.Key.Domain)}
	if s.Source != name {
		fields = append(fields, zap.Stringer("source", s.Source))
	}
	if device, known := snapshot.LookupDevice(name.Netip()); known {
		fields = append(fields, zap.String("device", device.ID))
	}
	h.log.Info("exporter heard for the first time", fields...)
}

func (h *heard) tellMore() {
	if h.more > 0 {
		h.log.Info("more exporters heard for the first time", zap.Int("how many", h.more))
		h.more = 0
	}
}
