package netflow

import (
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// UDP does not authenticate senders: a single forged option record could rename a router, or multiply its traffic,
// permanently. So once an exporter has given data for a while, a record that changes much takes effect only after it
// was repeated for some time without a contradiction. Until then it is counted (options_doubted). What an exporter
// sends first, within its first minute, takes effect immediately, and so do small changes.
const (
	trustedAfter   = int64(time.Minute)     // of data
	agreementFor   = int64(2 * time.Minute) // from the first to the last repetition
	agreementTimes = 3
	// manyTimes is the factor from which on a change of a sampling rate is large.
	manyTimes = 10
	// usualRate is the highest sampling rate that exporters usually have.
	usualRate = 1 << 16
	// nextNumbers is how far ahead the sequence number of an exporter's next datagram may be: it may count records, and
	// datagrams are lost or change places.
	nextNumbers   = 1024
	maxDoubts     = 16 // of one source
	dataPortCount = 4  // the latest source ports of an exporter's data
)

// doubt is a change that must be repeated before it takes effect.
type doubt struct {
	claim
	first int64 // Unix nanoseconds
	times int
}

// claim is the part of an option record that would change much.
type claim struct {
	key      sessionKey
	exporter flow.Addr
	rate     uint32
	scope    scope // that the rate applies to
}

// believes reports whether an option record takes effect.
func (d *Decoder) believes(s *session, o *optionRecord, c *context) bool {
	now := c.received
	if s.since == 0 || now-s.since < trustedAfter || s.source.transport != 0 {
		return true // over TCP the sender is known
	}
	src := s.source
	swapped := s.sampling.swapped
	rate, _ := o.raw.rate(&s.sampling)
	s.sampling.swapped = swapped // that is only known once the record is believed
	of := o.scope(s)
	if key, joins := o.joined(); joins && rate == 0 {
		rate, of = s.product(&s.sampling, &o.selectors), scope{key}
	}
	renames := !o.exporter.IsUnspecified() && o.exporter != src.exporter && o.exporter != src.addr
	known := s.knownRate(&of)
	if known == 0 && (rate > usualRate || !s.continues(c.sequence)) {
		known = s.lastRate
	}
	scales := rate != 0 && known != 0 && (rate/manyTimes > known || known/manyTimes > rate)
	changes := renames || rate != 0 && rate != known
	if !renames && !scales && (!changes || s.givesData(s.lastPort)) {
		if rate != 0 || !o.exporter.IsUnspecified() {
			src.doubts = src.doubts[:0] // it confirms what is known: the doubted changes are false
		}
		return true
	}
	one := claim{key: s.key, exporter: o.exporter, rate: rate, scope: of}
	for i := range src.doubts {
		w := &src.doubts[i]
		if w.claim != one {
			continue
		}
		if w.times++; w.times >= agreementTimes && now-w.first >= agreementFor {
			src.doubts = append(src.doubts[:i], src.doubts[i+1:]...)
			return true
		}
		s.stream.Fail(exporter.OptionsDoubted, 1)
		return false
	}
	if len(src.doubts) >= maxDoubts {
		src.doubts = src.doubts[:copy(src.doubts, src.doubts[1:])]
	}
	src.doubts = append(src.doubts, doubt{claim: one, first: now, times: 1})
	s.stream.Fail(exporter.OptionsDoubted, 1)
	return false
}

// knownRate returns the sampling rate that an option record for a scope would change: that of the same scope, else that
// of the latest record; 0 if that was assumed, because none is known.
func (s *session) knownRate(of *scope) uint32 {
	own, rate := &s.sampling, uint32(0)
	if of.len() == 0 {
		rate = max(own.domain, own.system)
	} else if rate = own.get(of); rate == 0 {
		if by, joined := own.joins[of[0]]; joined {
			rate = s.product(own, &by.selectors)
		}
	}
	if rate == 0 && s.lastRateBy != flow.SamplingAssumed {
		rate = s.lastRate
	}
	return rate
}

// continues reports whether a sequence number may be that of the exporter's next datagram.
func (s *session) continues(number uint32) bool {
	return number-s.lastNumber+nextNumbers <= 2*nextNumbers
}

// gave notes that flow records were received from a source port.
func (s *session) gave(port uint16) {
	if s.dataPorts[0] == port || s.givesData(port) {
		return
	}
	copy(s.dataPorts[1:], s.dataPorts[:])
	s.dataPorts[0] = port
}

func (s *session) givesData(port uint16) bool {
	for _, p := range s.dataPorts {
		if p == port {
			return true
		}
	}
	return false
}
