package exporter

// reorderWindow is how far back a number may lie and still be late rather than a restart, in datagrams.
const reorderWindow = 64

// maxGap is the largest gap that is taken for loss; beyond it the exporter started to count again.
const maxGap = 1 << 22

// Sequence tells from the sequence numbers of a stream what was lost, came twice, came late or restarted, where it is
// known what the numbers count (sFlow: datagrams). Numbers tell it where that has to be learned. The zero value is
// ready.
type Sequence struct {
	next    uint32
	started bool
	recent  recentNumbers
}

// Observe takes a datagram's number and how many units it holds, and counts what it tells in s.
func (q *Sequence) Observe(s *Stream, number, units uint32) {
	defer q.recent.add(number)
	if !q.started {
		q.started, q.next = true, number+units
		return
	}
	gap := int32(number - q.next)
	switch {
	case gap == 0:
	case gap > 0 && gap < maxGap:
		s.Lost.Add(uint64(gap))
	case q.recent.seen(number):
		s.Duplicated.Add(1)
		return
	case gap < 0 && q.recent.late(number):
		s.Reordered.Add(1)
		// It was counted as lost when the numbers after it came.
		s.Lost.Add(-min(uint64(units), s.Lost.Load()))
		return
	default:
		s.Restarts.Add(1)
		q.recent = recentNumbers{}
	}
	q.next = number + units
}

// Restarted notes that the exporter itself restarted.
func (q *Sequence) Restarted(s *Stream) {
	if q.started {
		s.Restarts.Add(1)
	}
	*q = Sequence{}
}
