// Package gen makes export datagrams of synthetic traffic: any protocol, any number of flows, hosts and exporters, the
// same for the same options. It knows how the protocols are written and imports nothing of what reads them but the
// datagram.
package gen

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// Options describe the traffic. Flows and Protocol have no useful zero value.
type Options struct {
	Protocol flow.Protocol
	Flows    int // flow records, or flow samples of sFlow
	Seed     uint64
	// Hosts is how many different addresses flows come from and go to; each of them appears. 0: 200,000, or a fifth of
	// the flows if that is less.
	Hosts int
	// Zipf is the exponent of the distribution of hosts, more than 1; 0: all hosts are equally frequent.
	Zipf float64
	// IPv6 is the share of flows, and of hosts, of IPv6: 0 to 1. NetFlow v5 has none.
	IPv6 float64
	// Fields is the width of the template, 8 to 30. 0: 20. NetFlow v5 and sFlow have no templates.
	Fields      int
	Exporters   int    // 0: 1
	Sampling    uint32 // one in N packets; 0 and 1: not sampled
	PerDatagram int    // flows in a datagram; 0: as many as fit
	// TemplateEvery is after how many datagrams an exporter sends its templates again. 0: 500.
	TemplateEvery int
	// Rate is how many flows a second the clock of the capture has. 0: 100,000.
	Rate  float64
	Start time.Time // of the capture
	// Part makes other flows of the same hosts: parts with their own numbers are what one network sends at other times.
	Part uint64
	// Homed has each host send through one exporter, and flows come in and go out by the interfaces of the ends' AS, as
	// routes have them in a network. Without it hosts send through all exporters, and any interfaces.
	Homed bool
}

const (
	defaultHosts         = 200_000
	defaultFields        = 20
	defaultTemplateEvery = 500
	defaultRate          = 100_000
)

// maxPayload keeps a datagram, with its IP and UDP headers, well within 1500 bytes, as exporters do.
const maxPayload = 1420

func (o Options) withDefaults() Options {
	if o.Hosts == 0 {
		o.Hosts = max(2, min(defaultHosts, o.Flows/5))
	}
	if o.Fields == 0 {
		o.Fields = defaultFields
	}
	if o.Exporters == 0 {
		o.Exporters = 1
	}
	if o.Sampling == 0 {
		o.Sampling = 1
	}
	if o.TemplateEvery == 0 {
		o.TemplateEvery = defaultTemplateEvery
	}
	if o.Rate == 0 {
		o.Rate = defaultRate
	}
	return o
}

// maxExporters is how many addresses from 127.16.0.1 on are given out.
const maxExporters = 1 << 16

func (o Options) check() error {
	switch {
	case o.Protocol == flow.UnknownProtocol:
		return errors.New("the protocol is not set")
	case o.Flows < 1:
		return fmt.Errorf("%d flows: at least 1", o.Flows)
	case o.Hosts < 1 || o.Hosts > 2*o.Flows:
		return fmt.Errorf("%d hosts: %d flows meet 1 to %d", o.Hosts, o.Flows, 2*o.Flows)
	case o.Hosts > maxHosts:
		return fmt.Errorf("%d hosts: at most %d", o.Hosts, maxHosts)
	case o.Zipf != 0 && o.Zipf <= 1:
		return fmt.Errorf("a Zipf exponent of %g: more than 1, or 0 for hosts that are all alike", o.Zipf)
	case o.IPv6 < 0 || o.IPv6 > 1:
		return fmt.Errorf("an IPv6 share of %g: 0 to 1", o.IPv6)
	case o.IPv6 > 0 && o.Protocol == flow.NetFlowV5:
		return errors.New("NetFlow v5 has no IPv6")
	case o.Fields < minFields || o.Fields > maxFields:
		return fmt.Errorf("%d fields: %d to %d", o.Fields, minFields, maxFields)
	case o.Exporters < 1 || o.Exporters > maxExporters:
		return fmt.Errorf("%d exporters: 1 to %d", o.Exporters, maxExporters)
	case o.PerDatagram < 0 || o.TemplateEvery < 1 || o.Rate <= 0:
		return errors.New("flows in a datagram, datagrams between templates and the rate are positive numbers")
	}
	return nil
}

// Each makes all datagrams, in order of time, and hands each to use; its payload is valid during the call. The first
// error of use ends it.
func Each(o Options, use func(exporter.Datagram) error) error {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return fmt.Errorf("generate %s: %w", o.Protocol, err)
	}
	t := newTraffic(o)
	exporters := make([]*sender, o.Exporters)
	for i := range exporters {
		exporters[i] = newSender(o, i)
	}
	for n := 0; t.left > 0; n++ {
		t.exporter = n % len(exporters)
		s := exporters[t.exporter]
		if err := s.datagram(t, use); err != nil {
			return err
		}
	}
	return nil
}

// ExporterAddress is the address of the i-th exporter: all of them are of the loopback network, so that a host can send
// from each to itself.
func ExporterAddress(i int) netip.Addr {
	n := uint32(127<<24|16<<16|1) + uint32(i)
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// sender is one exporter: its counters, and the datagram in progress.
type sender struct {
	o        Options
	source   netip.AddrPort
	bootMs   int64
	sequence uint32   // in the protocol's unit
	made     int      // datagrams
	samples  []uint32 // sFlow: of each interface
	layouts  [2]layout
	out      []byte
	body     [2][]byte // of IPv4 and IPv6 records
	records  int       // in body
}

// uptimeAtStart is how long exporters have run when the capture begins.
const uptimeAtStart = 10 * 24 * time.Hour

// exporterPort is where datagrams come from.
const exporterPort = 40_000

func newSender(o Options, index int) *sender {
	return &sender{
		o: o, layouts: [2]layout{newLayout(o, false), newLayout(o, true)},
		source: netip.AddrPortFrom(ExporterAddress(index), exporterPort),
		bootMs: o.Start.Add(-uptimeAtStart).UnixMilli(), samples: make([]uint32, interfaces+1),
	}
}

// datagram makes the next datagram of the exporter, with a datagram of templates before it when they are due.
func (s *sender) datagram(t *traffic, use func(exporter.Datagram) error) error {
	if s.templated() && s.made%s.o.TemplateEvery == 0 {
		s.appendTemplates(t.nowMs)
		if err := s.send(t, use); err != nil {
			return err
		}
	}
	s.collect(t)
	switch s.o.Protocol {
	case flow.NetFlowV5:
		s.appendV5(t.nowMs)
	case flow.SFlow5:
		s.appendSFlow(t.nowMs)
	default:
		s.appendData(t.nowMs)
	}
	s.made++
	return s.send(t, use)
}

func (s *sender) templated() bool {
	return s.o.Protocol == flow.NetFlowV9 || s.o.Protocol == flow.IPFIX
}

// collect takes as many flows as go into one datagram and writes their records.
func (s *sender) collect(t *traffic) {
	s.body[0], s.body[1], s.records = s.body[0][:0], s.body[1][:0], 0
	write, limit := s.record()
	for t.left > 0 && (s.o.PerDatagram == 0 || s.records < s.o.PerDatagram) {
		six := t.nextIsIPv6()
		if s.records > 0 && s.o.PerDatagram == 0 && len(s.body[0])+len(s.body[1])+s.size(six) > limit {
			break
		}
		r := t.next()
		family := 0
		if six && s.templated() { // whose families have sets of their own
			family = 1
		}
		s.body[family] = write(s.body[family], r)
		s.records++
	}
}

// record returns what writes a record of the protocol, and how much room a datagram has for records.
func (s *sender) record() (write func([]byte, *record) []byte, room int) {
	switch s.o.Protocol {
	case flow.NetFlowV5:
		return s.appendRecordV5, maxRecordsV5 * recordV5
	case flow.SFlow5:
		return s.appendSample, maxPayload - headerSFlow
	}
	return s.appendFields, maxPayload - headerV9 - 2*(setHeader+maxPadding)
}

// size is the length of a record.
func (s *sender) size(six bool) int {
	switch s.o.Protocol {
	case flow.NetFlowV5:
		return recordV5
	case flow.SFlow5:
		return sampleSize(six)
	}
	return s.layout(six).size
}

func (s *sender) send(t *traffic, use func(exporter.Datagram) error) error {
	return use(exporter.Datagram{Payload: s.out, Source: s.source, Received: t.nowMs * int64(time.Millisecond)})
}

// uptime is what the exporter's header says at a time, in milliseconds.
func (s *sender) uptime(ms int64) uint32 { return uint32(ms - s.bootMs) }
