package exporter

// RecordSequence is the Sequence of IPFIX (RFC 7011 §3.1): a message's number says how many data records were sent before it,
// those of options among them. Some exporters count the message's own records as well, or leave options out (softflowd does
// both), so which way an exporter counts is learned from its messages.
type RecordSequence struct {
	sequence Sequence
	started  bool
	next     [conventions]uint32 // the number that the next message is to have, for each way of counting
	fits     [conventions]uint32 // how many messages had it
}

// A way of counting is a combination of these; none of them is the RFC's.
const (
	countsItself = 1 << iota
	leavesOutOptions
	conventions = 1 << iota
)

// maxFits bounds the memory of what an exporter did, so that one that is replaced by another kind is understood in time.
const maxFits = 64

// Observe takes a message's number and how many data records it holds, of flows and of options, and counts what that tells in s.
func (q *RecordSequence) Observe(s *Stream, number, flows, options uint32) {
	best, bestScore := 0, uint32(0)
	var begin, units [conventions]uint32
	for way := range conventions {
		units[way] = flows
		if way&leavesOutOptions == 0 {
			units[way] += options
		}
		begin[way] = number
		if way&countsItself != 0 {
			begin[way] -= units[way]
		}
		score := 2 * q.fits[way]
		if q.started && begin[way] == q.next[way] {
			q.fits[way]++
			score++
		}
		if score > bestScore {
			best, bestScore = way, score
		}
	}
	if q.fits[best] > maxFits {
		for way := range q.fits {
			q.fits[way] /= 2
		}
	}
	if q.started {
		q.sequence.next = q.next[best]
	}
	q.sequence.Observe(s, begin[best], units[best])
	q.started = true
	// A late message does not move the others' either.
	moved := q.sequence.next - begin[best] - units[best]
	for way := range conventions {
		q.next[way] = begin[way] + units[way] + moved
	}
}

// Resync makes the next message the start of a new count: how many records came in between is not known.
func (q *RecordSequence) Resync() {
	q.started = false
	q.sequence.Resync()
}
