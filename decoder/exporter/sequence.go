package exporter

// reorderWindow is how far back, in datagrams, a number may be and still be late rather than a restart.
const reorderWindow = 64

// maxGap is the largest gap that is taken for loss. A larger one means that the exporter restarted its count.
const maxGap = 1 << 22

// Sequence finds losses, duplicates, late datagrams and restarts from the sequence numbers of a stream, if it is known
// what they count (sFlow: datagrams). Numbers is for streams where that must be learned. The zero value is ready.
type Sequence struct {
	next    uint32
	started bool
	recent  recentNumbers
}

// Observe takes a datagram's number and how many units it holds, and counts in s what the number shows.
func (q *Sequence) Observe(s *Stream, number, units uint32) {
	at := q.recent.locate(number)
	q.observe(s, number, units, at)
	q.recent.add(number)
}

func (q *Sequence) observe(s *Stream, number, units uint32, at location) {
	if !q.started {
		q.started, q.next = true, number+units
		return
	}
	gap := int32(number - q.next)
	switch {
	case gap == 0:
	case gap > 0 && gap < maxGap:
		s.Lost.Add(uint64(gap))
	case !at.newest && q.recent.seen(number):
		s.Duplicated.Add(1)
		return
	case gap < 0 && at.late:
		s.Reordered.Add(1)
		// It was counted as lost when later numbers were received.
		s.Lost.Add(-min(uint64(units), s.Lost.Load()))
		return
	default:
		s.Restarts.Add(1)
		q.recent = recentNumbers{}
	}
	q.next = number + units
}

// Restarted notes a restart of the exporter that its uptime shows.
func (q *Sequence) Restarted(s *Stream) {
	if q.started {
		s.Restarts.Add(1)
	}
	*q = Sequence{}
}
