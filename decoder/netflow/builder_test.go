package netflow

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// The clock of the tests: what headers say, and when datagrams are received.
const (
	exportS  = 1_700_000_000
	exportMs = exportS * 1000
	received = exportMs * int64(time.Millisecond)
)

func u8(n uint8) []byte    { return []byte{n} }
func u16(n uint16) []byte  { return binary.BigEndian.AppendUint16(nil, n) }
func u32(n uint32) []byte  { return binary.BigEndian.AppendUint32(nil, n) }
func u64(n uint64) []byte  { return binary.BigEndian.AppendUint64(nil, n) }
func ip(s string) []byte   { return netip.MustParseAddr(s).AsSlice() }
func text(s string) []byte { return []byte(s) }

// width is n in so many bytes.
func width(n uint64, bytes int) []byte {
	b := make([]byte, bytes)
	for i := bytes - 1; i >= 0; i-- {
		b[i], n = byte(n), n>>8
	}
	return b
}

func ip128(s string) flow.Addr { return flow.AddrFrom(netip.MustParseAddr(s)) }

// item is a field of a template with the value that a data record has for it.
type item struct {
	id       uint16
	pen      uint32
	value    []byte
	variable bool
}

func el(id uint16, value []byte) item                { return item{id: id, value: value} }
func vendor(pen uint32, id uint16, v []byte) item    { return item{id: id, pen: pen, value: v} }
func variable(id uint16, value []byte) item          { return item{id: id, value: value, variable: true} }
func fieldsOf(items []item) (specs []byte, n uint16) { return specsOf(items), uint16(len(items)) }

func specsOf(items []item) (b []byte) {
	for _, i := range items {
		length := uint16(len(i.value))
		if i.variable {
			length = variableLength
		}
		id := i.id
		if i.pen != 0 {
			id |= enterpriseBit
		}
		b = append(append(b, u16(id)...), u16(length)...)
		if i.pen != 0 {
			b = append(b, u32(i.pen)...)
		}
	}
	return b
}

// templateOf is a template record for items; dataOf a data record.
func templateOf(id uint16, items ...item) []byte {
	specs, n := fieldsOf(items)
	return slices.Concat(u16(id), u16(n), specs)
}

func dataOf(items ...item) (b []byte) {
	for _, i := range items {
		switch {
		case i.variable && len(i.value) < 255:
			b = append(b, byte(len(i.value)))
		case i.variable:
			b = append(append(b, 255), u16(uint16(len(i.value)))...)
		}
		b = append(b, i.value...)
	}
	return b
}

// optionsIPFIX is an options template record of IPFIX; the first items are the scope.
func optionsIPFIX(id uint16, scopes int, items ...item) []byte {
	specs, n := fieldsOf(items)
	return slices.Concat(u16(id), u16(n), u16(uint16(scopes)), specs)
}

// optionsV9 is an options template record of NetFlow v9, whose scopes are kinds.
func optionsV9(id uint16, scopes int, items ...item) []byte {
	return slices.Concat(u16(id), u16(uint16(4*scopes)), u16(uint16(4*(len(items)-scopes))), specsOf(items))
}

func set(id uint16, records ...[]byte) []byte {
	body := slices.Concat(records...)
	return slices.Concat(u16(id), u16(uint16(len(body)+setHeader)), body)
}

// header is what the headers of v9 and IPFIX have in common.
type header struct {
	exportS  uint32
	uptime   uint32 // v9
	sequence uint32
	domain   uint32
}

func v9(h header, sets ...[]byte) []byte {
	return slices.Concat(u16(9), u16(uint16(len(sets))), u32(h.uptime), u32(h.exportS), u32(h.sequence), u32(h.domain),
		slices.Concat(sets...))
}

func ipfix(h header, sets ...[]byte) []byte {
	body := slices.Concat(sets...)
	return slices.Concat(u16(10), u16(uint16(headerIPFIX+len(body))), u32(h.exportS), u32(h.sequence), u32(h.domain),
		body)
}

// lab is a decoder with one exporter in front of it.
type lab struct {
	t        testing.TB
	table    *exporter.Table
	d        *Decoder
	b        *flow.Batch
	got      []flow.Record
	source   netip.AddrPort
	received int64
}

func newLab(t testing.TB, o Options) *lab {
	l := &lab{t: t, table: exporter.NewTable(16), source: netip.MustParseAddrPort("192.0.2.1:4000"), received: received}
	l.d = New(l.table, o)
	l.b = flow.NewBatch(func(records []flow.Record) {
		for i := range records {
			r := records[i]
			r.SRv6Segments = slices.Clone(r.SRv6Segments)
			l.got = append(l.got, r)
		}
	})
	return l
}

// send decodes a datagram and returns its records.
func (l *lab) send(payload []byte) []flow.Record {
	l.got = nil
	dg := &exporter.Datagram{Payload: payload, Source: l.source, Received: l.received}
	switch binary.BigEndian.Uint16(payload) {
	case 5:
		l.d.DecodeV5(dg, l.b)
	case 9:
		l.d.DecodeV9(dg, l.b)
	default:
		l.d.DecodeIPFIX(dg, l.b)
	}
	return l.got
}

// wait lets time pass.
func (l *lab) wait(d time.Duration) []flow.Record {
	l.got = nil
	l.received += int64(d)
	l.d.Tick(l.received, l.b)
	return l.got
}

func (l *lab) stream(p flow.Protocol, domain uint32) *exporter.Stream {
	key := exporter.Key{Exporter: flow.AddrFrom(l.source.Addr()), Protocol: p, Domain: domain}
	return l.table.Get(key, key.Exporter, l.received)
}

// failed asserts how often each reason was counted; reasons that are not named must be 0.
func (l *lab) failed(s *exporter.Stream, want map[exporter.Reason]uint64) {
	l.t.Helper()
	for _, reason := range exporter.Reasons() {
		if got := s.Failed(reason); got != want[reason] {
			l.t.Errorf("%s is %d, want %d", reason, got, want[reason])
		}
	}
}

// one decodes a datagram with a template for the items and one record of them, which it returns.
func (l *lab) one(p flow.Protocol, items ...item) flow.Record {
	l.t.Helper()
	records := l.all(p, items...)
	if len(records) != 1 {
		l.t.Fatalf("%d records, want 1", len(records))
	}
	return records[0]
}

const testUptime = 3_600_000

func (l *lab) all(p flow.Protocol, items ...item) []flow.Record {
	h := header{exportS: exportS, uptime: testUptime}
	if p == flow.NetFlowV9 {
		return l.send(v9(h, set(setTemplateV9, templateOf(256, items...)), set(256, dataOf(items...))))
	}
	return l.send(ipfix(h, set(setTemplateIPFIX, templateOf(256, items...)), set(256, dataOf(items...))))
}

// both are the protocols with templates.
var both = []flow.Protocol{flow.NetFlowV9, flow.IPFIX}

// v4Flow is a small record: addresses, ports, protocol and counters.
func v4Flow() []item {
	return []item{
		el(8, ip("198.51.100.1")), el(12, ip("203.0.113.9")), el(7, u16(1234)), el(11, u16(443)), el(4, u8(6)),
		el(1, u32(1500)), el(2, u32(3)),
	}
}

// equal compares two values, saying which they are.
func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func netipPort(a netip.AddrPort, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr(), port)
}
