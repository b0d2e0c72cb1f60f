package netflow

import (
	"encoding/binary"
	"slices"

	"github.com/metranova/flow-collector/decoder/flow"
)

// variableLength is the length of a field that has its own length in every record (RFC 7011 §3.2).
const variableLength = 0xffff

// A field is one field specifier of a template.
type field struct {
	ID     uint16 `json:"id"`
	PEN    uint32 `json:"pen,omitempty"` // 0: IANA's
	Length uint16 `json:"length"`        // bytes, or variableLength
	Scope  bool   `json:"scope,omitempty"`
	// System is set for the scopes of NetFlow v9, which are kinds and not elements (RFC 3954 §6.1).
	System bool `json:"system,omitempty"`
}

// A template is a definition and the plan that it is compiled to when the first data comes: of many definitions none
// does, and plans are most of what they would take.
type template struct {
	id       uint16
	options  bool
	fields   []field
	length   int // of every record; with variable set, of the shortest
	variable bool
	runs     []run
	sent     flow.Fields // the fields that every record has
	present  []field     // options: those that are not of length 0
	traits   traits
	labels   uint8  // label stack elements without a gap from IE 70 on
	protocol uint8  // of all records, if the template has no element for it and others show it; else 0
	port     uint16 // the UDP source port that it came from
	seen     int64  // when it was received, Unix nanoseconds
	active   int64  // when that port last sent it or data by it, Unix nanoseconds
	used     bool   // data by it was received, so it is compiled
}

// clone copies a template that is not compiled yet.
func (t *template) clone() *template {
	x := *t
	x.fields = slices.Clone(t.fields)
	return &x
}

// A run is a part of a record whose length is known, up to a field that has its own length.
type run struct {
	plain  []plainStep // first
	plan   []step
	length int // bytes, including unused fields
	end    step
	ends   bool // there is such a field; without it this is the record's last run
}

// A step handles one field.
type step struct {
	op     opcode
	arg    uint8
	of     opcode // with opReversed: the opcode of the same element in the flow's own direction
	length uint16
	offset uint16      // within its run
	sent   flow.Fields // the field that has a value then
}

// traits are what finish has to do for a template's records.
type traits uint16

const (
	dualStack traits = 1 << iota // addresses of both families: one of them is empty
	hasFrame                     // a sampled packet header
	biflow                       // counters of both directions
	hasMPLS
	hasRare   // values that few records have
	isFlow    // an address, a counter or a sampled frame: without any of these a record is not a flow
	dualHop   // next hops of both families
	responder // counters of a firewall's two directions
	hasTotals // counters since the flow began
	station   // addresses of a wireless station
	hasRate   // a sampling rate of the record's own
)

// compiler knows the elements. Each decoder has one.
type compiler struct {
	elements, vendor, reverse map[uint16]element
	steps                     []step // of the current template
}

// places maps opcodes to steps: the step's number from 1 on, 0 if no step has the opcode.
type places [256]uint16

func newCompiler() *compiler {
	return &compiler{elements: elements(), vendor: vendorElements(), reverse: reverseElements()}
}

// measure determines the length of a template's records. It returns false if they could be empty: such a template must
// never control a loop.
func (t *template) measure() bool {
	for _, f := range t.fields {
		if f.Length == variableLength {
			t.variable = true
			t.length++
		} else {
			t.length += int(f.Length)
		}
	}
	return t.length > 0 && t.length <= 0xffff
}

// compile makes the plan of a template that was measured.
func (c *compiler) compile(t *template) {
	all := c.steps[:0]
	var used places
	for _, f := range t.fields {
		// A field of length 0 has no value. It must not cost a step, because a record of one byte could have thousands.
		if f.Length == 0 {
			continue
		}
		if t.options {
			t.present = append(t.present, f)
		}
		s := c.step(f, t.options)
		if s.op != opSkip && s.op != opMPLSLabel && !alternates(s.op) {
			// An element that occurs twice belongs to the outer and the inner header: the last one counts.
			if earlier := used[s.op]; earlier > 0 {
				all[earlier-1].op = opSkip
			}
			used[s.op] = uint16(len(all) + 1)
		}
		if f.Length != variableLength {
			t.sent |= s.sent
		}
		t.addTraits(s.op)
		all = append(all, s)
	}
	c.steps = all
	t.labels = countLabels(all)
	t.protocol = impliedProtocol(all, &used)
	if standIn(all, &used, opSrcPrefix, opSrcAddr4, opSrcAddr6) ||
		standIn(all, &used, opDstPrefix, opDstAddr4, opDstAddr6) {
		t.traits |= dualStack
	}
	t.separateHops(all, &used)
	t.runs = arrange(all)
}

// standIn makes prefixes (IE 44, 45, 169, 170) replace addresses that the template does not have, and drops those next
// to an address of their family. It reports whether the template has both families.
func standIn(all []step, used *places, prefix, four, six opcode) (dual bool) {
	has4, has6 := used[four] > 0, used[six] > 0
	own4, own6 := has4, has6
	for i := range all {
		s := &all[i]
		switch {
		case s.op != prefix:
		case s.length == 4 && own4, s.length == 16 && own6:
			s.op = opSkip
		case s.length == 4:
			has4 = true
		case s.length == 16:
			has6 = true
		}
	}
	return has4 && has6
}

// separateHops keeps both families' next hops if a template has both: that of the flow's own family counts.
func (t *template) separateHops(all []step, used *places) {
	for _, pair := range [...][2]opcode{{opNextHop4, opNextHop6}, {opBGPNextHop4, opBGPNextHop6},
		{opMPLSTopAddr4, opMPLSTopAddr6}} {
		if used[pair[0]] > 0 && used[pair[1]] > 0 {
			t.traits |= dualHop | hasRare
			all[used[pair[1]]-1].arg = secondHop
		}
	}
}

// arrange makes runs from the steps of all fields.
func arrange(all []step) (runs []run) {
	var one run
	inOrder := mixed(all)
	plain, plan := room(all, &inOrder) // of all runs
	for _, s := range all {
		if s.length == variableLength {
			one.end, one.ends = s, true
			runs = append(runs, one)
			one = run{}
			continue
		}
		s.offset = uint16(one.length)
		one.length += int(s.length)
		if s.op == opSkip {
			continue
		}
		if !inOrder[s.op] {
			plain = append(plain, plainStep{s.plain(), s.offset})
			one.plain = plain[len(plain)-len(one.plain)-1 : len(plain) : len(plain)]
			continue
		}
		plan = append(plan, s)
		one.plan = plan[len(plan)-len(one.plan)-1 : len(plan) : len(plan)]
	}
	if one.length > 0 {
		runs = append(runs, one)
	}
	return runs
}

// room returns memory for the plain steps and for the others.
func room(all []step, inOrder *[256]bool) (plain []plainStep, plan []step) {
	plains, plans := 0, 0
	for i := range all {
		switch s := &all[i]; {
		case s.op == opSkip || s.length == variableLength:
		case inOrder[s.op]:
			plans++
		default:
			plains++
		}
	}
	return make([]plainStep, 0, plains), make([]step, 0, plans)
}

// mixed returns the opcodes of which not all fields are plain. Such fields must stay in order, as the last one counts.
func mixed(all []step) (opcodes [256]bool) {
	for i := range all {
		if s := &all[i]; s.plain() == notPlain {
			opcodes[s.op] = true
		}
	}
	return opcodes
}

// countLabels returns how many of IE 70-79 there are before the first missing one.
func countLabels(plan []step) (n uint8) {
	var present [10]bool
	for _, s := range plan {
		if s.op == opMPLSLabel && s.arg < 10 {
			present[s.arg] = true
		}
	}
	for n < 10 && present[n] {
		n++
	}
	return n
}

func (c *compiler) step(f field, options bool) step {
	s := step{length: f.Length}
	if options || f.Scope || f.Length == 0 {
		return s
	}
	switch f.PEN {
	case 0:
		e := c.elements[f.ID]
		s.op, s.arg = e.op, e.arg
	case vendorType:
		e := c.vendor[f.ID]
		s.op, s.arg = e.op, e.arg
	case reversePEN:
		e := c.reverse[f.ID]
		s.op, s.arg = e.op, e.arg
		if own := c.elements[f.ID]; reversible(own.op) {
			s.op, s.of, s.arg = opReversed, own.op, own.arg
		}
	}
	if s.length != variableLength && (!fits(s.op, int(s.length)) || !fits(s.of, int(s.length))) {
		s.op = opSkip
	}
	s.sent = sentBy(s.op)
	return s
}

// fits reports whether an element can have values of a length. Integers can have any length (RFC 7011 §6.2), addresses
// only their own.
func fits(op opcode, length int) bool {
	if op >= opcodeCount {
		only := simpleElements[op-opcodeCount].length
		return only == 0 || length == only
	}
	switch op {
	case opSrcAddr4, opDstAddr4, opNextHop4, opBGPNextHop4, opMPLSTopAddr4, opPostNATSrcAddr4, opPostNATDstAddr4,
		opExporter4,
		opStationAddr4:
		return length == 4
	case opSrcAddr6, opDstAddr6, opNextHop6, opBGPNextHop6, opMPLSTopAddr6, opPostNATSrcAddr6, opPostNATDstAddr6,
		opExporter6:
		return length == 16
	case opSrcPrefix, opDstPrefix:
		return length == 4 || length == 16
	case opSrcMAC, opDstMAC, opPostSrcMAC, opPostDstMAC, opStationMAC:
		return length == 6
	case opStartMicros, opEndMicros, opStartNanos, opEndNanos:
		return length == 8 || length == 16
	}
	return true
}

// alternates reports whether several elements of one template may have the opcode: each sets its field only if an
// earlier one has not.
func alternates(op opcode) bool {
	switch op {
	case opSrcVLAN, opDstVLAN, opSamplerID, opSamplingInterval, opICMPTypeCode, opICMPType, opICMPCode,
		opSrcMask, opDstMask, opTransportSrcPort, opTransportDstPort, opSrcPrefix, opDstPrefix,
		opObserved, opFrameLink, opHashRange, opPart, opReversed:
		return true
	}
	return false
}

func (t *template) addTraits(op opcode) {
	if op >= firstRare && op < opcodeCount {
		t.traits |= hasRare
	}
	if showsFlow(op) {
		t.traits |= isFlow
	}
	switch op {
	case opBytesTotal, opPacketsTotal, opReverseBytesTotal, opReversePacketsTotal:
		t.traits |= hasTotals
	case opStationMAC, opStationAddr4:
		t.traits |= station
	case opSamplingInterval, opSamplingPacketInterval, opSamplingPacketSpace, opSamplingSize, opSamplingPopulation,
		opSamplingProbability, opHashRange:
		t.traits |= hasRate
	}
	switch op {
	case opFrameLink, opFrameIP:
		t.traits |= hasFrame
	case opReverseBytes, opReversePackets, opReverseBytesTotal, opReversePacketsTotal:
		t.traits |= biflow
	case opBytesResponder, opPacketsResponder:
		t.traits |= responder
	case opMPLSLabel:
		t.traits |= hasMPLS
	}
}

// showsFlow reports whether an element makes a record a flow: an address, a counter or a sampled frame.
func showsFlow(op opcode) bool {
	switch op {
	case opSrcAddr4, opDstAddr4, opSrcAddr6, opDstAddr6, opSrcPrefix, opDstPrefix, opSrcMAC, opDstMAC, opPostSrcMAC,
		opPostDstMAC,
		opPostNATSrcAddr4, opPostNATDstAddr4, opPostNATSrcAddr6, opPostNATDstAddr6, opNextHop4, opNextHop6,
		opBGPNextHop4,
		opBGPNextHop6, opMPLSTopAddr4, opMPLSTopAddr6, opSRv6Segments,
		opBytes, opPackets, opBytesTotal, opPacketsTotal, opBytesOut, opPacketsOut, opBytesInitiator,
		opPacketsInitiator,
		opBytesLayer2, opReverseBytes, opReversePackets, opReverseBytesTotal, opReversePacketsTotal, opFrameLink,
		opFrameIP,
		opBytesResponder, opPacketsResponder, opStationMAC, opStationAddr4:
		return true
	}
	return false
}

// same reports whether two definitions are equal.
func (t *template) same(other *template) bool {
	return t.options == other.options && slices.Equal(t.fields, other.fields)
}

// cut splits off a value of n bytes.
func cut(b []byte, n int) (value, rest []byte, ok bool) {
	if n > len(b) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

// cutVariable splits off a value whose length is in one byte, or in two after a 255 (RFC 7011 §7).
func cutVariable(b []byte) (value, rest []byte, ok bool) {
	if len(b) == 0 {
		return nil, nil, false
	}
	n, b := int(b[0]), b[1:]
	if n == 255 {
		if len(b) < 2 {
			return nil, nil, false
		}
		n, b = int(binary.BigEndian.Uint16(b)), b[2:]
	}
	return cut(b, n)
}

func cutField(b []byte, length uint16) (value, rest []byte, ok bool) {
	if length == variableLength {
		return cutVariable(b)
	}
	return cut(b, int(length))
}
