package netflow

import (
	"slices"
	"testing"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// A datagram holds at most so many bytes behind its header.
const full = 65535 - 28 - headerV9

// fill repeats a set's body until the datagram is full.
func fill(body []byte) []byte { return slices.Repeat(body, (full-setHeader)/len(body)) }

// The work that a datagram makes must grow with its bytes alone. Work is counted, not timed: the records that it gives,
// and the steps of all plans that are run for them.
func TestHostileDatagrams(t *testing.T) {
	zeroes := slices.Repeat([]item{el(1, nil)}, maxFields-1)
	tests := []struct {
		name      string
		before    [][]byte // datagrams sent before
		in        []byte
		records   int
		templates int
		steps     int // of the template's plan; 0: not asked
		flowsOnly bool
		reasons   map[exporter.Reason]uint64
	}{
		{name: "records of one byte",
			before:    [][]byte{ipfix(ipfixHeader, set(2, templateOf(256, el(4, u8(6)))))},
			in:        ipfix(ipfixHeader, set(256, fill(u8(17)))),
			templates: 1, steps: 1, flowsOnly: true,
			reasons: map[exporter.Reason]uint64{exporter.NoFlow: full - setHeader}},
		{name: "counters of one byte",
			before:  [][]byte{ipfix(ipfixHeader, set(2, templateOf(256, el(1, u8(6)))))},
			in:      ipfix(ipfixHeader, set(256, fill(u8(17)))),
			records: mostRecords, templates: 1, steps: 1,
			reasons: map[exporter.Reason]uint64{exporter.RecordLimit: full - setHeader - mostRecords}},
		{name: "counters of one byte in many sets",
			before:  [][]byte{ipfix(ipfixHeader, set(2, templateOf(256, el(1, u8(6)))))},
			in:      ipfix(ipfixHeader, slices.Repeat(set(256, u8(1), u8(2)), 1000)),
			records: mostRecords, templates: 1, steps: 1,
			reasons: map[exporter.Reason]uint64{exporter.RecordLimit: 2000 - mostRecords}},
		{name: "biflows of two bytes",
			before:  [][]byte{ipfix(ipfixHeader, set(2, templateOf(256, el(1, u8(6)), reversed(1, u8(5)))))},
			in:      ipfix(ipfixHeader, set(256, fill(u8(17)))),
			records: mostRecords, templates: 1, steps: 2,
			reasons: map[exporter.Reason]uint64{exporter.RecordLimit: (full-setHeader)/2 - mostRecords/2}},
		{name: "records of one byte and a thousand empty fields",
			before:    [][]byte{ipfix(ipfixHeader, set(2, templateOf(256, append(zeroes, el(4, u8(6)))...)))},
			in:        ipfix(ipfixHeader, set(256, fill(u8(17)))),
			templates: 1, steps: 1, flowsOnly: true,
			reasons: map[exporter.Reason]uint64{exporter.NoFlow: full - setHeader}},
		{name: "records of one variable byte and a thousand empty fields",
			before:    [][]byte{ipfix(ipfixHeader, set(2, templateOf(256, append(zeroes, variable(82, nil))...)))},
			in:        ipfix(ipfixHeader, set(256, fill(u8(0)))),
			templates: 1, steps: 1, flowsOnly: true,
			reasons: map[exporter.Reason]uint64{exporter.NoFlow: full - setHeader}},
		{name: "options of one byte and a thousand empty fields",
			before:    [][]byte{ipfix(ipfixHeader, set(3, optionsIPFIX(256, 1, append(zeroes, variable(82, nil))...)))},
			in:        ipfix(ipfixHeader, set(256, fill(u8(0)))),
			templates: 1, steps: 1,
			reasons: map[exporter.Reason]uint64{exporter.RecordLimit: full - setHeader - maxOptions}},
		{name: "a template of a thousand variable fields",
			before: [][]byte{ipfix(ipfixHeader, set(2,
				templateOf(256, append(slices.Repeat([]item{variable(82, nil)}, maxFields-1), variable(8, nil))...)))},
			in:      ipfix(ipfixHeader, set(256, fill(u8(0)))),
			records: 8, templates: 1, steps: maxFields, // seven eighths of what a jumbo frame can hold
			reasons: map[exporter.Reason]uint64{exporter.RecordLimit: (full-setHeader)/maxFields - 8}},
		{name: "many templates", in: ipfix(ipfixHeader, set(2, manyTemplates((full-setHeader)/8))),
			templates: maxNews,
			reasons:   map[exporter.Reason]uint64{exporter.TemplateLimit: maxDefinitions - maxNews + 1}},
		{name: "one template of all bytes", in: ipfix(ipfixHeader,
			set(2, templateOf(256, slices.Repeat([]item{el(4, u8(0))}, (full-8)/4)...))),
			reasons: map[exporter.Reason]uint64{exporter.TemplateLimit: 1}},
		{name: "unknown sets", in: ipfix(ipfixHeader, fill(set(9))),
			reasons: map[exporter.Reason]uint64{exporter.UnknownSet: maxSets,
				exporter.SetLimit: (full-setHeader)/4 - maxSets}},
		{name: "empty sets without a template", in: ipfix(ipfixHeader, fill(set(999))),
			reasons: map[exporter.Reason]uint64{exporter.SetLimit: (full-setHeader)/4 - maxSets,
				exporter.HoldFull: maxSets - maxHeld}},
		{name: "withdrawals", in: ipfix(ipfixHeader, set(2, fill(slices.Concat(u16(256), u16(0))))),
			reasons: map[exporter.Reason]uint64{exporter.Withdrawal: (full - setHeader) / 4}},
		{name: "padding that ends in a byte", in: ipfix(ipfixHeader, set(2, fill(u8(0)), u8(1))),
			reasons: map[exporter.Reason]uint64{exporter.BadTemplate: 1}},
		{name: "padding of options that ends in a byte", in: ipfix(ipfixHeader, set(3, fill(u8(0)), u8(1))),
			reasons: map[exporter.Reason]uint64{exporter.BadTemplate: 1}},
		{name: "padding of v9 options that ends in a byte", in: v9(ipfixHeader, set(1, fill(u8(0)), u8(1))),
			reasons: map[exporter.Reason]uint64{exporter.BadTemplate: 1}},
		{name: "v9 with a count of 65535 and nothing else", in: v9(ipfixHeader, set(0, u16(256), u16(65535))),
			reasons: map[exporter.Reason]uint64{exporter.BadTemplate: 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{FlowsOnly: test.flowsOnly, MaxRecords: mostRecords})
			for _, p := range test.before {
				l.send(p)
			}
			equal(t, "number of records", len(l.send(test.in)), test.records)
			p := flow.IPFIX
			if test.in[1] == 9 {
				p = flow.NetFlowV9
			}
			l.failed(l.stream(p, 0), test.reasons)
			for _, s := range l.d.sources[ip128("192.0.2.1")].sessions {
				equal(t, "templates", len(s.byID), test.templates)
				if one := s.byID[256]; test.steps != 0 {
					equal(t, "steps", one.steps(), test.steps)
				}
			}
			if l.heldBytes() > defaultHoldBytes {
				t.Errorf("%d bytes held", l.heldBytes())
			}
		})
	}
}

// wideTemplates are more than a jumbo frame takes.
func wideTemplates(n int) (b []byte) {
	for i := range n {
		b = append(b, templateOf(uint16(256+i), el(8, u32(0)), el(12, u32(0)), el(7, u16(0)), el(11, u16(0)))...)
	}
	return b
}

// What a datagram teaches is bounded: definitions, rates and names. An exporter that sends more at once repeats it, and
// all of it is known in the end.
func TestNewsOfADatagram(t *testing.T) {
	const all = 2*maxNews + 10
	table := func(options []item, record func(i int) []byte) []byte {
		var b []byte
		for i := range all {
			b = append(b, record(i)...)
		}
		return ipfix(ipfixHeader, set(setOptionsIPFIX, optionsIPFIX(300, 1, options...)), set(300, b))
	}
	tests := []struct {
		name   string
		in     []byte
		first  int // how many are known after the first one
		reason exporter.Reason
		known  func(s *session) int
	}{
		{"definitions", ipfix(ipfixHeader, set(setTemplateIPFIX, wideTemplates(maxDefinitions))), maxNews,
			exporter.TemplateLimit, func(s *session) int { return len(s.byID) }},
		{"rates", table([]item{el(10, u32(0)), el(34, u32(0))},
			func(i int) []byte { return append(u32(uint32(i)), u32(100)...) }), 2 * maxNews,
			exporter.RecordLimit, func(s *session) int { return s.sampling.count() }},
		{"rates of two things", table([]item{el(10, u32(0)), el(141, u32(0)), el(34, u32(0))},
			func(i int) []byte { return slices.Concat(u32(uint32(i)), u32(uint32(i)), u32(100)) }), (2*maxNews + 2) / 3,
			exporter.RecordLimit, func(s *session) int { return s.sampling.count() }},
		{"rates and padding, larger than a jumbo frame", append(table([]item{el(10, u32(0)), el(34, u32(0))},
			func(i int) []byte { return append(u32(uint32(i)), u32(100)...) }), make([]byte, jumboFrame)...),
			maxNews / 2, exporter.RecordLimit, func(s *session) int { return s.sampling.count() }},
		{"names", table([]item{el(10, u32(0)), el(82, text("port"))},
			func(i int) []byte { return append(u32(uint32(i)), "port"...) }), 2 * maxNews,
			exporter.RecordLimit, func(s *session) int { return len(s.source.nameTable().Interface) }},
		{"distinguishers", table([]item{el(234, u32(0)), el(90, u64(0))},
			func(i int) []byte { return append(u32(uint32(i)), u64(uint64(i))...) }), 2 * maxNews,
			exporter.RecordLimit, func(s *session) int { return len(s.source.nameTable().RD) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			send := func() (known int, refused uint64) {
				before := l.stream(flow.IPFIX, 0).Failed(test.reason)
				l.send(test.in)
				for _, s := range l.d.sources[ip128("192.0.2.1")].sessions {
					known = test.known(s)
				}
				return known, l.stream(flow.IPFIX, 0).Failed(test.reason) - before
			}
			known, refused := send()
			equal(t, "known after the first datagram", known, test.first)
			equal(t, "refused at first", refused > 0, true)
			for range 4 {
				known, refused = send()
			}
			equal(t, "refused at last", refused, 0)
			if known < maxDefinitions {
				t.Errorf("%d are known at last", known)
			}
		})
	}
}

// steps is how many fields are looked at for each record.
func (t *template) steps() (n int) {
	if t.options {
		return len(t.present)
	}
	for _, r := range t.runs {
		n += len(r.plan) + len(r.plain)
		if r.ends {
			n++
		}
	}
	return n
}

func manyTemplates(n int) (b []byte) {
	for i := range n {
		b = append(b, templateOf(uint16(256+i), el(4, u8(0)))...)
	}
	return b
}

// A template that comes must look only at the sets that wait for it, not at all that are held.
func TestReleaseLooksAtItsOwnSetsOnly(t *testing.T) {
	l := newLab(t, Options{})
	for id := range uint16(5000) {
		l.send(ipfix(ipfixHeader, set(1000+id, u8(1))))
	}
	l.send(ipfix(ipfixHeader, set(2, templateOf(1000, el(4, u8(6))))))
	for _, s := range l.d.sources[ip128("192.0.2.1")].sessions {
		equal(t, "ids that wait", len(s.held), 4999)
		equal(t, "sets of one", len(s.held[1001]), 1)
	}
	equal(t, "recovered", l.stream(flow.IPFIX, 0).Recovered.Load(), 1)
}

// The number of flow records of one datagram is bounded, whatever the protocol; without a limit all are taken.
func TestManyWholeRecords(t *testing.T) {
	whole := []item{el(8, u32(1)), el(12, u32(2)), el(7, u16(3)), el(11, u16(4)), el(2, u32(5)), el(1, u32(6))}
	flows := slices.Repeat([]v5Flow{{}}, (65535-28-headerV5)/recordV5)
	data := slices.Repeat(dataOf(whole...), 2000)
	for _, limit := range []int{0, mostRecords} {
		want5, want := len(flows), 2000
		if limit > 0 {
			want5, want = maxRecordsV5, limit
		}
		l := newLab(t, Options{MaxRecords: limit})
		equal(t, "records of v5", len(l.send(v5(v5Header{count: -1}, flows...))), want5)
		equal(t, "refused of v5", l.stream(flow.NetFlowV5, 0).Failed(exporter.RecordLimit), uint64(len(flows)-want5))
		l.send(v9(header{}, set(0, templateOf(256, whole...))))
		equal(t, "records of v9", len(l.send(v9(header{}, set(256, data)))), want)
		equal(t, "refused of v9", l.stream(flow.NetFlowV9, 0).Failed(exporter.RecordLimit), uint64(2000-want))
		l.send(ipfix(ipfixHeader, set(2, templateOf(256, whole...))))
		equal(t, "records of IPFIX", len(l.send(ipfix(ipfixHeader, set(256, data)))), want)
		equal(t, "refused of IPFIX", l.stream(flow.IPFIX, 0).Failed(exporter.RecordLimit), uint64(2000-want))
	}
}

// mostRecords is a limit for tests, even as biflows are.
const mostRecords = 140
