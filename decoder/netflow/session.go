package netflow

import (
	"time"

	"github.com/metranova/flow-collector/decoder/budget"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// source is the state of one sending address, or of one TCP connection.
type source struct {
	addr       flow.Addr
	transport  uint64 // the connection; 0: UDP
	scale      int    // how many times the limits of work one message may reach
	overrides  *exporter.Rates
	sessions   map[sessionKey]*session
	parked     map[sessionKey]*parked
	names      *flow.Names
	exporter   flow.Addr // IE 130/131 of an option record
	initMs     int64     // IE 160 of an option record
	has        holdings
	refusals   int         // of new templates, until unused ones are looked for again
	changed    bool        // since the latest save
	doubts     []doubt     // changes that must be repeated before they take effect
	renamed    bool        // the names changed since the latest save
	saved      bool        // it was saved at least once
	savedNames *flow.Names // the names at that time

	announcers   announcers
	domainRates  map[sessionKey]heardRate // rates of domains that other domains announced
	ratesChanged uint64                   // grows with each new sampling rate
}

type sessionKey struct {
	protocol flow.Protocol
	domain   uint32
}

// session is one observation domain of a source.
type session struct {
	decoder  *Decoder
	source   *source
	key      sessionKey
	stream   *exporter.Stream
	numbers  exporter.Numbers
	sampling samplingRates
	elsewhere
	rates rateCache
	place int // of its domain among the announcers, see announcers.of
	fractions
	readings [exporter.ReadingCount]uint32 // of the current datagram
	odd      bool                          // readings is not empty
	templates
	numbersCharged int                  // of charged, for sequence numbers of source ports
	charged        int                  // what the source's account has of templates and sampling rates
	held           map[uint16][]heldSet // by template id, each in the order they came
	units          uint32               // flow records of the datagram in hand
	options        uint32               // and option records
	definitions    uint32               // and template records
	// when the latest of the restored templates came, Unix nanoseconds; 0: none are
	restored        int64
	unknownSet      bool   // the datagram had a set that could not be counted
	bootMs          int64  // NetFlow v9 and v5: when the exporter started, by its header
	bootPort        uint16 // and the source port of that header
	headerRate      uint32 // NetFlow v5: of the current datagram
	headerRateBy    flow.SamplingSource
	totalsAreDeltas bool // its totals (IE 85, 86) fell within a flow
	wideRate        bool // NetFlow v5: all 16 bits of the sampling field are the rate
	missing         map[uint16]*exporter.MissingTemplate
	lastSkewMs      int64
	lastPort        uint16
	lastNumber      uint32                // the latest datagram's sequence number
	dataPorts       [dataPortCount]uint16 // source ports of flow records
	since           int64                 // when the first flow record was received, Unix nanoseconds
	lastRate        uint32
	lastRateBy      flow.SamplingSource
	recordCount     uint64
}

// session returns the state of a datagram's observation domain.
func (d *Decoder) session(dg *exporter.Datagram, protocol flow.Protocol, domain uint32) *session {
	addr := flow.AddrFrom(dg.Source.Addr())
	key := sessionKey{protocol, domain}
	if dg.Session != 0 {
		return d.transportSession(dg, key, addr)
	}
	if s := d.last; s != nil && s.key == key && s.source.addr == addr && s.source.transport == 0 {
		return s
	}
	src := d.sources[addr]
	if src == nil {
		src = d.newSource(addr)
		d.sources[addr] = src
		d.restoreSource(src, dg.Received)
	}
	s := src.sessions[key]
	if s == nil {
		s = d.newSession(src, key, dg.Received)
	}
	d.last = s
	return s
}

func (d *Decoder) newSource(addr flow.Addr) *source {
	src := &source{addr: addr, scale: 1, overrides: d.o.Overrides[addr], sessions: map[sessionKey]*session{}}
	src.has.each(func(h *budget.Holder[*source]) { h.Of = src })
	return src
}

func (d *Decoder) newSession(src *source, key sessionKey, now int64) *session {
	kept := src.unpark(d, key)
	s := &session{
		decoder: d, source: src, key: key,
		stream: d.table.Get(exporter.Key{Exporter: src.addr, Protocol: key.protocol, Domain: key.domain}, src.addr,
			now),
		templates: newTemplates(d.o.MaxTemplates),
	}
	s.stream.SetUser(s)
	d.sources[src.addr] = src // it was forgotten if its only stream was just evicted
	src.sessions[key] = s
	if src.exporter != (flow.Addr{}) {
		s.stream.SetStated(src.exporter)
	}
	if kept == nil {
		d.restoreSession(s, now)
		d.settle(s)
		return s
	}
	s.templates, s.sampling, s.bootMs = kept.templates, kept.sampling, kept.bootMs
	if s.sampling.empty() {
		src.silence(key)
	} else {
		src.announce(key, &s.sampling, s.stream)
	}
	s.stream.Evictions.Store(kept.evictions)
	d.settle(s)
	return s
}

// begin counts a datagram and prepares its session and context. headerMs is the header's time in Unix milliseconds.
func (s *session) begin(dg *exporter.Datagram, c *context, headerMs int64) {
	c.session = s
	c.setClock(headerMs)
	s.stream.Saw(dg)
	s.units, s.options, s.definitions, s.unknownSet = 0, 0, 0, false
	s.lastPort = dg.Source.Port()
	s.decoder.work = s.decoder.work.then(len(dg.Payload))
	if skew := dg.Received/int64(time.Millisecond) - headerMs; skew != s.lastSkewMs {
		s.lastSkewMs = skew
		s.stream.ClockSkewMs.Store(skew)
	}
}

// restarted detects by its uptime that an exporter restarted, so that its sequence numbers restart too. After a wrap of
// the uptime the start seems to be 2^32 ms later, which is not a restart. The start is noted each time, so that a clock
// that drifts against the uptime never adds up to a restart. Another source port may be another process with a start of
// its own.
func (s *session) restarted(bootMs int64) {
	later := bootMs - s.bootMs
	wrapped := later > uptimeWrapMs-restartMs && later < uptimeWrapMs+restartMs
	if s.bootMs != 0 && s.bootPort == s.lastPort && later > restartMs && !wrapped {
		s.numbers.Restarted(s.stream, s.lastPort)
	}
	s.bootMs, s.bootPort = bootMs, s.lastPort
}
