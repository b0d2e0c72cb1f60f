package netflow

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// over decodes a message of a TCP connection and returns its records.
func (l *lab) over(connection uint64, payload []byte) []flow.Record {
	l.got = nil
	l.d.DecodeIPFIX(&exporter.Datagram{Payload: payload, Source: l.source, Received: l.received, Session: connection},
		l.b)
	return l.got
}

func TestTransport_templatesAreTheConnectionsOwn(t *testing.T) {
	define := ipfix(ipfixHeader, set(2, templateOf(256, v4Flow()...)))
	data := ipfix(ipfixHeader, set(256, dataOf(v4Flow()...)))
	l := newLab(t, Options{HoldFor: -1})
	l.over(1, define)
	equal(t, "records of the connection", len(l.over(1, data)), 1)
	equal(t, "records of another connection of the exporter", len(l.over(2, data)), 0)
	equal(t, "records over UDP", len(l.send(data)), 0)
	l.over(2, define)
	l.send(define)
	equal(t, "records of the other connection", len(l.over(2, data)), 1)
	l.d.EndSession(1)
	equal(t, "records after the connection's end", len(l.over(1, data)), 0)
	equal(t, "records of the other connection", len(l.over(2, data)), 1)
	equal(t, "records over UDP", len(l.send(data)), 1)
	equal(t, "records of all connections", l.stream(flow.IPFIX, 0).Records.Load(), 4)
	for _, connection := range []uint64{1, 2} {
		l.d.EndSession(connection)
	}
	l.d.EndSession(7) // never began
	equal(t, "connections", len(l.d.transport), 0)
	equal(t, "domains of connections", l.d.domains, 0)
	equal(t, "bytes of templates", l.d.memory.templates.Used(), l.d.sources[ip128("192.0.2.1")].has.templates.Used())
}

func TestTransport_templatesDoNotExpireAndAreNotSaved(t *testing.T) {
	l := newLab(t, Options{HoldFor: -1, TemplateExpiry: time.Hour})
	l.over(1, ipfix(ipfixHeader, set(2, templateOf(256, v4Flow()...))))
	l.wait(100 * time.Hour)
	equal(t, "records", len(l.over(1, ipfix(ipfixHeader, set(256, dataOf(v4Flow()...))))), 1)
	l.d.BeginSave()
	state, more := l.d.Save(1000)
	if len(state.Sources)+len(state.Forgotten) > 0 || more {
		t.Errorf("saved: %+v, more %v", state, more)
	}
}

// Connections of one address number their messages separately (RFC 7011 §3.1), even those of one domain, and begin
// again when they are opened again. What is missing in one of them is told, and nothing else.
func TestTransport_numbersAreTheConnectionsOwn(t *testing.T) {
	type connection struct {
		number uint64
		first  uint32 // sequence number
		domain uint32
		lose   []int // messages that the exporter dropped
	}
	for _, test := range []struct {
		name        string
		connections []connection
		reopened    bool // the first of them ends and comes back with numbers from 0
		lost        uint64
	}{
		{"one domain", []connection{{1, 0, 5, nil}, {2, 0, 5, nil}}, false, 0},
		{"one domain, far from each other", []connection{{1, 0, 5, nil}, {2, 1 << 30, 5, nil}, {3, 7000, 5, nil}},
			false, 0},
		{"two domains", []connection{{1, 0, 5, nil}, {2, 900, 6, nil}}, false, 0},
		{"one reconnects", []connection{{1, 100_000, 5, nil}, {2, 0, 5, nil}}, true, 0},
		{"some are missing", []connection{{1, 0, 5, []int{9, 20}}, {2, 50_000, 5, []int{12}}, {3, 0, 6, nil}}, false,
			6},
		{"some are missing where one reconnects", []connection{{1, 70_000, 5, []int{9}}, {2, 0, 5, []int{25}}}, true,
			4},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			next := map[uint64]uint32{}
			for i := range 40 {
				for _, c := range test.connections {
					number := c.number
					if i == 0 {
						next[number] = c.first
					}
					if test.reopened && c.number == 1 && i >= 30 {
						if number += 100; i == 30 {
							l.d.EndSession(c.number)
						}
					}
					h := header{exportS: exportS, sequence: next[number], domain: c.domain}
					sets := [][]byte{set(256, dataOf(v4Flow()...), dataOf(v4Flow()...))}
					if i == 0 || i == 30 {
						sets = slices.Insert(sets, 0, set(2, templateOf(256, v4Flow()...)))
					}
					if next[number] += 2; !slices.Contains(c.lose, i) {
						l.over(number, ipfix(h, sets...))
					}
				}
			}
			lost := uint64(0)
			for _, s := range l.table.Streams() {
				lost += s.Lost.Load()
				equal(t, "late, twice, restarts, numbered together", s.Reordered.Load()+s.Duplicated.Load()+
					s.Restarts.Load()+s.TimesRead(exporter.NumberedTogether), 0)
			}
			equal(t, "lost", lost, test.lost)
		})
	}
}

func TestTransport_definitionsMayChange(t *testing.T) {
	l := newLab(t, Options{HoldFor: -1})
	l.over(1, ipfix(ipfixHeader, set(2, templateOf(256, v4Flow()...))))
	other := append(v4Flow(), el(4, u8(17)))
	r := l.over(1, ipfix(ipfixHeader, set(2, templateOf(256, other...)), set(256, dataOf(other...))))
	equal(t, "records of the new definition", len(r), 1)
	l.failed(l.stream(flow.IPFIX, 0), nil)
}

func TestTransport_withdrawals(t *testing.T) {
	option := []item{el(149, u32(0)), el(34, u32(50))}
	withdrawn := map[exporter.Reason]uint64{exporter.Withdrawal: 1}
	tests := []struct {
		name          string
		sets          []byte
		flows, option bool // whether the templates are still there
		reasons       map[exporter.Reason]uint64
	}{
		{"of a template", set(2, u16(256), u16(0)), false, true, nil},
		{"of all templates", set(2, u16(2), u16(0)), false, true, nil},
		{"of an options template", set(3, u16(300), u16(0)), true, false, nil},
		{"of all options templates", set(3, u16(3), u16(0)), true, false, nil},
		{"of both", set(3, u16(300), u16(0)), true, false, nil},
		{"of an unknown template", set(2, u16(999), u16(0)), true, true, withdrawn},
		{"of an options template as if it were none", set(2, u16(300), u16(0)), true, true, withdrawn},
		{"of all options templates among templates", set(2, u16(3), u16(0)), true, true, withdrawn},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			l.over(1, ipfix(ipfixHeader, set(2, templateOf(256, v4Flow()...)), set(3, optionsIPFIX(300, 1, option...))))
			r := l.over(1, ipfix(ipfixHeader, test.sets, set(256, dataOf(v4Flow()...)), set(300, dataOf(option...))))
			equal(t, "flows are decoded", len(r) == 1, test.flows)
			equal(t, "options are decoded", l.stream(flow.IPFIX, 0).Options.Load() == 1, test.option)
			l.failed(l.stream(flow.IPFIX, 0), test.reasons)
			l.d.EndSession(1)
			equal(t, "bytes of templates", l.d.memory.templates.Used(), 0)
			equal(t, "bytes that wait", l.d.memory.held.Used(), 0)
		})
	}
}

func TestTransport_dataThatWaitsIsLostWithItsConnection(t *testing.T) {
	l := newLab(t, Options{})
	l.over(1, ipfix(ipfixHeader, set(256, dataOf(v4Flow()...))))
	equal(t, "sets that wait", l.stream(flow.IPFIX, 0).Held.Load(), 1)
	l.d.EndSession(1)
	l.failed(l.stream(flow.IPFIX, 0), map[exporter.Reason]uint64{exporter.NoTemplate: 1})
	equal(t, "missing templates that are shown", len(l.stream(flow.IPFIX, 0).Missing()), 0)
}

func TestTransport_streamsThatAreEvictedComeAgain(t *testing.T) {
	l := newLab(t, Options{HoldFor: -1}) // the table has room for 16 streams
	message := func(domain uint32, sets ...[]byte) []byte {
		return ipfix(header{exportS: exportS, domain: domain}, sets...)
	}
	const domains = 100
	for domain := range uint32(domains) {
		l.over(1, message(domain, set(2, templateOf(256, v4Flow()...))))
	}
	for domain := range uint32(domains) {
		equal(t, "records", len(l.over(1, message(domain, set(256, dataOf(v4Flow()...))))), 1)
	}
	total := l.table.Retired()
	l.table.Publish()
	records := total.Records.Load()
	for _, s := range l.table.Streams() {
		records += s.Records.Load()
	}
	equal(t, "records that are counted", records, domains)
}

func TestTransport_domainsAreBounded(t *testing.T) {
	l := newLab(t, Options{HoldFor: -1})
	define := ipfix(ipfixHeader, set(2, templateOf(256, v4Flow()...)))
	l.over(1, define)
	empty := ipfix(ipfixHeader)
	for domain := range uint32(3 * maxConnectionDomains) {
		binary.BigEndian.PutUint32(empty[12:], domain)
		l.received++
		l.over(1, empty)
	}
	equal(t, "domains", len(l.d.transport[1].sessions), maxConnectionDomains)
	data := ipfix(ipfixHeader, set(256, dataOf(v4Flow()...)))
	equal(t, "records of the domain that has a template", len(l.over(1, data)), 1)
	for connection := uint64(2); connection < 40; connection++ {
		for domain := range uint32(maxConnectionDomains) {
			binary.BigEndian.PutUint32(empty[12:], domain)
			l.over(connection, empty)
		}
	}
	equal(t, "domains of all", l.d.domains, maxAllDomains)
	for connection := range uint64(40) {
		l.d.EndSession(connection)
	}
	equal(t, "domains of all after the end", l.d.domains, 0)
}

func TestTransport_longMessages(t *testing.T) {
	l := newLab(t, Options{MaxRecords: 160})
	l.over(1, ipfix(ipfixHeader, set(2, templateOf(256, v4Flow()...))))
	one := dataOf(v4Flow()...)
	n := (65535 - headerIPFIX - setHeader) / len(one)
	var body []byte
	for range n {
		body = append(body, one...)
	}
	equal(t, "records of the longest message", len(l.over(1, ipfix(ipfixHeader, set(256, body)))), n)
	l.failed(l.stream(flow.IPFIX, 0), nil)
}
