package netflow

import (
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// UDP has no sender: one forged option record could give a router another name, or multiply its traffic, for good. So
// of an exporter that has given data for a while, a record that changes much takes effect only once it was repeated
// over some time and the exporter did not say otherwise in between. Until then it is counted (options_doubted). What it
// says first, within its first minute, is taken at once, and so are changes that are small.
const (
	trustedAfter   = int64(time.Minute)     // of data
	agreementFor   = int64(2 * time.Minute) // from the first to the last of
	agreementTimes = 3
	// manyTimes is by which factor a sampling rate changes much.
	manyTimes     = 10
	maxDoubts     = 16 // of one source
	dataPortCount = 4  // source ports of an exporter that data came from, the latest
)

// doubt is a change that waits for being repeated.
type doubt struct {
	claim
	first int64 // Unix nanoseconds
	times int
}

// claim is what an option record says that would change much.
type claim struct {
	key      sessionKey
	exporter flow.Addr
	rate     uint32
	scope    scope // that the rate is of
}

// believes reports whether what an option record says takes effect.
func (d *Decoder) believes(s *session, o *optionRecord, now int64) bool {
	if s.since == 0 || now-s.since < trustedAfter || s.source.transport != 0 {
		return true // what comes over TCP is of who connected
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
	scales := rate != 0 && known != 0 && (rate/manyTimes > known || known/manyTimes > rate)
	changes := renames || rate != 0 && rate != known
	if !renames && !scales && (!changes || s.givesData(s.lastPort)) {
		if rate != 0 || !o.exporter.IsUnspecified() {
			src.doubts = src.doubts[:0] // it says what is known: what was doubted is not true
		}
		return true
	}
	c := claim{key: s.key, exporter: o.exporter, rate: rate, scope: of}
	for i := range src.doubts {
		w := &src.doubts[i]
		if w.claim != c {
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
	src.doubts = append(src.doubts, doubt{claim: c, first: now, times: 1})
	s.stream.Fail(exporter.OptionsDoubted, 1)
	return false
}

// knownRate is the sampling rate that an option record of a scope would change: that of the same scope, else that of
// the latest record.
func (s *session) knownRate(of *scope) uint32 {
	own, rate := &s.sampling, uint32(0)
	if of.len() == 0 {
		rate = max(own.domain, own.system)
	} else if rate = own.get(of); rate == 0 {
		if by, joined := own.joins[of[0]]; joined {
			rate = s.product(own, &by.selectors)
		}
	}
	if rate == 0 {
		rate = s.lastRate
	}
	return rate
}

// gave notes that flow records came from a source port.
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
