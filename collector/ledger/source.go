package ledger

import (
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/sink/tally"
)

// reading is the state of one stream's counters.
type reading struct {
	stream flow.StreamKey
	id     any // distinguishes them from those of an earlier stream with the same key
	counts []uint64
}

// source keeps counters of streams: a worker's table, or a sink's book. It adds up streams that it has evicted.
type source struct {
	first    int // index of its first column among all columns
	read     func() (streams []reading, others []uint64)
	before   map[any][]uint64 // the greatest counts so far, by id
	evicted  []int64          // the counts of evicted streams, which are now in the source's others
	reported []int64          // the high-water mark of others minus evicted
}

// update reports how much every stream has grown, and all others together as the zero stream. A counter that falls,
// because it had counted too much, stands still until it exceeds its greatest value.
func (s *source) update(grown func(stream flow.StreamKey, first int, by []uint64)) {
	streams, others := s.read()
	if s.evicted == nil {
		s.before, s.evicted, s.reported = map[any][]uint64{}, make([]int64, len(others)), make([]int64, len(others))
	}
	now := make(map[any][]uint64, len(streams))
	for _, r := range streams {
		before, by := s.before[r.id], make([]uint64, len(r.counts))
		for i, n := range r.counts {
			if before != nil {
				n = max(n, before[i])
				by[i] = n - before[i]
			} else {
				by[i] = n
			}
			r.counts[i] = n
		}
		now[r.id] = r.counts
		grown(r.stream, s.first, by)
	}
	for id, counts := range s.before {
		if _, there := now[id]; !there {
			for i, n := range counts {
				s.evicted[i] += int64(n)
			}
		}
	}
	s.before = now
	by := make([]uint64, len(others))
	for i, n := range others {
		if rest := int64(n) - s.evicted[i]; rest > s.reported[i] {
			by[i] = uint64(rest - s.reported[i])
			s.reported[i] = rest
		}
	}
	grown(flow.StreamKey{}, s.first, by)
}

// tableSource reads a worker's table. Evicted streams are read first, see exporter.Table.Retired.
func tableSource(t *exporter.Table, columns []streamColumn) *source {
	count := func(s *exporter.Stream) []uint64 {
		counts := make([]uint64, len(columns))
		for i := range columns {
			counts[i] = columns[i].read(s)
		}
		return counts
	}
	return &source{read: func() (streams []reading, others []uint64) {
		others = count(t.Retired())
		for _, s := range t.Streams() {
			streams = append(streams, reading{s.Key, s, count(s)})
		}
		return streams, others
	}}
}

// bookSource reads a sink's book.
func bookSource(first int, b *tally.Book, columns []accountColumn) *source {
	count := func(a *tally.Account) []uint64 {
		counts := make([]uint64, len(columns))
		for i := range columns {
			counts[i] = columns[i].read(a)
		}
		return counts
	}
	type id struct {
		stream flow.StreamKey
		born   uint64
	}
	return &source{first: first, read: func() (streams []reading, others []uint64) {
		accounts, other := b.Accounts()
		for key, a := range accounts {
			streams = append(streams, reading{key, id{key, a.Generation}, count(&a)})
		}
		return streams, count(&other)
	}}
}
