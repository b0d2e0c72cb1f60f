package exporter

import (
	"slices"
	"unsafe"
)

// maxNumberedPorts bounds the source ports of one stream that are followed separately.
const maxNumberedPorts = 8

// Numbers finds losses, duplicates, late datagrams and restarts from the sequence numbers of a stream. What the numbers
// count is learned from the stream. So is whether there is one run of numbers or one for each UDP source port: two
// processes behind one address number separately (RFC 7011 §3.1: by transport session), while others send one run from
// many ports. Until both are known nothing is reported, and then everything, so that a reported loss is a real one.
// Numbers of several observation domains of one source may be one run too: see domainRun.
//
// The zero value is ready. A copy is independent and has the same past. It belongs to one goroutine.
type Numbers struct {
	all   numbering
	ports []portNumbers // nil until there is more than one port; the latest is last
	port  uint16        // of the latest datagram
	apart int8          // evidence for one run for each port: see judge
	quiet uint8         // datagrams since the port changed
	split bool
	doubt bool // a loss may be datagrams of another domain
	// what the latest datagram was, by the way of counting that explains most
	again, late bool
}

type portNumbers struct {
	port uint16
	numbering
}

// Observe takes a datagram's source port, its number and what it holds, and tells s what follows.
func (q *Numbers) Observe(s *Stream, port uint16, number uint32, u Units) {
	list := ways(s.Key.Protocol)
	isNew := !q.all.seenOnce
	run, changed := q.domainRun(s)
	if run == nil && q.ports == nil && port == q.port && q.all.follow(list, number, u) {
		q.again, q.late = false, false
		return
	}
	fits, own := q.observe(list, port, number, u)
	latest := &own.ways[own.best]
	q.again, q.late = latest.again, latest.late
	if run == nil {
		if q.tell(list, s); q.ports == nil {
			q.all.settle(list)
		}
		return
	}
	run.observe(list, number, u, changed, isNew, fits, own)
	switch {
	case run.together():
		q.forget()
		run.tell(list, s)
		s.Read(NumberedTogether, 1)
		return
	case run.apart():
		q.doubt = false
	case changed && !fits && !isNew:
		q.doubt = true
	case q.doubt && run.quiet >= forgetsAfter:
		q.forget()
	}
	run.common.forget()
	if !q.doubt {
		q.tell(list, s)
	}
}

// Latest reports whether the latest datagram was a duplicate, or was received after datagrams that were sent later.
func (q *Numbers) Latest() (again, late bool) { return q.again, q.late }

// Separate reports whether source ports have numbers of their own.
func (q *Numbers) Separate() bool { return q.split }

// observe follows the numbers of the domain. It reports whether the number was expected, by the run of all ports or
// that of its own, and returns the run that counts for the domain.
func (q *Numbers) observe(list []way, port uint16, number uint32, u Units) (fits bool, run *numbering) {
	changed := q.all.seenOnce && port != q.port
	if changed && q.ports == nil {
		q.ports = append(make([]portNumbers, 0, 2), portNumbers{q.port, q.all})
	}
	q.port = port
	if q.ports == nil {
		fits, _ = q.all.observe(list, number, u)
		return fits, &q.all
	}
	own := q.own(port)
	allFits, misses := q.all.observe(list, number, u)
	ownFits, _ := own.observe(list, number, u)
	run = &q.all
	if q.split {
		run = own
	}
	q.judge(changed, allFits, misses, ownFits, own.recent.filled == 1)
	return allFits || ownFits, run
}

// tell adds to the stream what the runs of the domain show.
func (q *Numbers) tell(list []way, s *Stream) {
	switch {
	case q.ports == nil:
		q.all.tell(list, s, s)
	case q.split:
		for i := range q.ports {
			q.ports[i].tell(list, s, s)
		}
	case q.apart <= 0:
		q.all.tell(list, s, s)
		q.ports[len(q.ports)-1].forget()
	}
}

// forget drops what was not reported.
func (q *Numbers) forget() {
	q.doubt = false
	q.all.forget()
	for i := range q.ports {
		q.ports[i].forget()
	}
}

// Bytes is the memory that the runs of ports take, beside the Numbers themselves.
func (q *Numbers) Bytes() int { return cap(q.ports) * int(unsafe.Sizeof(portNumbers{})) }

// ForgetPorts gives the memory of Bytes back: the ports are learned again.
func (q *Numbers) ForgetPorts() {
	if q.split {
		q.all.forget()
	}
	q.ports, q.split, q.apart, q.quiet = nil, false, 0, 0
}

// Evidence for and against a run for each port.
const (
	apartEnough  = 3
	togetherNow  = -2
	forgetsAfter = 64 // datagrams without a change of port after which one piece of evidence is forgotten
)

// judge weighs a datagram: whether its number was expected in the common run of all ports, and in the run of its own
// port. A number that the common run expects right after a datagram of another port belongs to the common run.
func (q *Numbers) judge(changed, fits, misses, ownFits, isNew bool) {
	if q.quiet++; changed {
		q.quiet = 0
	}
	switch {
	case changed && fits && !ownFits:
		q.apart = max(q.apart-1, togetherNow)
	case misses && (ownFits || isNew):
		q.apart = min(q.apart+1, 2*apartEnough)
	case q.quiet == forgetsAfter && !q.split:
		q.quiet = 0
		q.apart = max(q.apart-1, 0)
	}
	switch {
	case !q.split && q.apart >= apartEnough:
		q.split = true
	case q.split && q.apart <= 0:
		q.split = false
		q.all.forget()
	}
}

// own returns the numbers of a port. If there are too many ports, the one that was silent longest is forgotten.
func (q *Numbers) own(port uint16) *numbering {
	at := slices.IndexFunc(q.ports, func(p portNumbers) bool { return p.port == port })
	switch {
	case at < 0 && len(q.ports) < maxNumberedPorts:
		q.ports = append(q.ports, portNumbers{port: port})
	case at < 0:
		copy(q.ports, q.ports[1:])
		q.ports[len(q.ports)-1] = portNumbers{port: port}
	case at < len(q.ports)-1:
		p := q.ports[at]
		copy(q.ports[at:], q.ports[at+1:])
		q.ports[len(q.ports)-1] = p
	}
	return &q.ports[len(q.ports)-1].numbering
}

// Restarted notes a restart of the exporter that its uptime shows.
func (q *Numbers) Restarted(s *Stream, port uint16) {
	if !q.all.seenOnce {
		return
	}
	s.Restarts.Add(1)
	q.all.begin()
	if of := s.domainRuns(); of != nil && of.run != nil {
		of.run.common.begin()
	}
	for i := range q.ports {
		if q.ports[i].port == port {
			q.ports[i].begin()
		}
	}
}
