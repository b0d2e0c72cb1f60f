package exporter

// reorderWindow is how far back a number may lie and still be late rather than a restart, in datagrams.
const reorderWindow = 64

// maxGap is the largest gap that is taken for loss; beyond it the exporter began to count anew.
const maxGap = 1 << 22

// Sequence tells from the sequence numbers of a stream what was lost, came twice, came late, or began anew. The unit is
// the protocol's: flows (NetFlow v5), datagrams (NetFlow v9, sFlow), data records (IPFIX).
type Sequence struct {
	next    uint32
	started bool
	recent  [reorderWindow]uint32 // the numbers seen last
	filled  int
	at      int
}

// Observe takes a datagram's number and how many units it holds, and counts what it tells in s.
func (q *Sequence) Observe(s *Stream, number, units uint32) {
	defer q.remember(number)
	if !q.started {
		q.started, q.next = true, number+units
		return
	}
	gap := int32(number - q.next)
	switch {
	case gap == 0:
	case gap > 0 && gap < maxGap:
		s.Lost.Add(uint64(gap))
	case q.seen(number):
		s.Duplicated.Add(1)
		return
	case gap < 0 && q.isLate(number):
		s.Reordered.Add(1)
		// It was counted as lost when the numbers after it came.
		s.Lost.Add(-min(uint64(units), s.Lost.Load()))
		return
	default:
		s.Restarts.Add(1)
		q.filled = 0
	}
	q.next = number + units
}

// Resync makes the next number the start of a new count: how many units came in between is not known.
func (q *Sequence) Resync() { q.started = false }

// Restarted notes that the exporter itself began anew.
func (q *Sequence) Restarted(s *Stream) {
	if q.started {
		s.Restarts.Add(1)
	}
	*q = Sequence{}
}

func (q *Sequence) remember(number uint32) {
	q.recent[q.at] = number
	q.at = (q.at + 1) % reorderWindow
	q.filled = min(q.filled+1, reorderWindow)
}

func (q *Sequence) seen(number uint32) bool {
	for i := range q.filled {
		if q.recent[(q.at-1-i+reorderWindow)%reorderWindow] == number {
			return true
		}
	}
	return false
}

// isLate reports whether a number lies within those seen last: newer than the oldest of them.
func (q *Sequence) isLate(number uint32) bool {
	if q.filled == 0 {
		return false
	}
	oldest := q.recent[(q.at-q.filled+reorderWindow)%reorderWindow]
	return int32(number-oldest) > 0
}
