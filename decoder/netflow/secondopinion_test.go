package netflow

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	goflow "github.com/netsampler/goflow2/v2/decoders/netflow"
	"github.com/netsampler/goflow2/v2/decoders/netflowlegacy"

	"github.com/metranova/flow-collector/decoder/flow"
)

// theirs is a data record as goflow2 gives it: the value of each field by number. Of a repeated element the last
// counts, as with us (case 41); goflow2 itself leaves that to its user.
type theirs struct {
	values   map[uint16][]byte
	reversed map[uint16][]byte // RFC 5103
	header   context
}

func number(b []byte) (n uint64) {
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}

// pair decodes datagrams with both decoders.
type pair struct {
	t        *testing.T
	l        *lab
	systems  map[netip.Addr]goflow.NetFlowTemplateSystem
	opinions map[uint16]opinion
	excuses  []excuse
	compared int            // fields
	excused  map[string]int // fields, by reason
	failed   map[string]int // datagrams that goflow2 gave up, by its error
}

func newPair(t *testing.T) *pair {
	return &pair{
		t: t, l: newLab(t, Options{HoldFor: -1}), systems: map[netip.Addr]goflow.NetFlowTemplateSystem{},
		opinions: opinions(), excuses: excuses(), excused: map[string]int{}, failed: map[string]int{},
	}
}

// sane keeps templates without bytes from goflow2: its decode of their data sets never ends (case 28).
type sane struct{ goflow.NetFlowTemplateSystem }

func (s sane) AddTemplate(version uint16, domain uint32, id uint16, template any) error {
	if one, ok := template.(goflow.TemplateRecord); ok &&
		!slices.ContainsFunc(one.Fields, func(f goflow.Field) bool { return f.Length != 0 }) {
		return nil
	}
	return s.NetFlowTemplateSystem.AddTemplate(version, domain, id, template)
}

func (p *pair) decode(source netip.AddrPort, payload []byte) {
	p.l.source = source
	switch binary.BigEndian.Uint16(payload) {
	case 5:
		p.compareV5(payload)
	case 9, 10:
		p.compare(source.Addr(), payload)
	}
}

func (p *pair) compareV5(payload []byte) {
	var packet netflowlegacy.PacketNetFlowV5
	if err := netflowlegacy.DecodeMessageVersion(bytes.NewBuffer(payload), &packet); err != nil {
		p.failed[err.Error()]++
		return
	}
	ours := p.l.sendNow(payload)
	if len(ours) > len(packet.Records) {
		p.t.Errorf("we have %d records, goflow2 %d", len(ours), len(packet.Records))
	}
	export := int64(packet.UnixSecs)*1000 + int64(packet.UnixNSecs)/1e6
	for i, r := range ours {
		w := packet.Records[i]
		start, end := export-since(packet.SysUptime, w.First), export-since(packet.SysUptime, w.Last)
		if w.First == 0 && w.Last == 0 {
			start, end = export, export // case 6
		}
		as := func(n uint16) uint32 {
			if n == 23456 {
				return 0 // case 5
			}
			return uint32(n)
		}
		v4 := func(n netflowlegacy.IPAddress) string { return netip.AddrFrom4([4]byte(u32(uint32(n)))).String() }
		got := fmt.Sprintln(r.SrcAddr, r.DstAddr, r.NextHop, r.InIf, r.OutIf, r.Packets, r.Bytes, r.StartMs, r.EndMs,
			r.SrcPort, r.DstPort,
			r.TCPFlags, r.IPProtocol, r.ToS, r.SrcAS, r.DstAS, r.SrcMask, r.DstMask, r.Domain)
		want := fmt.Sprintln(v4(w.SrcAddr), v4(w.DstAddr), v4(w.NextHop), w.Input, w.Output, w.DPkts, w.DOctets, start,
			end, w.SrcPort, w.DstPort,
			w.TCPFlags, w.Proto, w.Tos, as(w.SrcAS), as(w.DstAS), w.SrcMask, w.DstMask,
			int(packet.EngineType)<<8|int(packet.EngineId))
		if got != want {
			p.t.Errorf("record %d of NetFlow v5:\nours    %sgoflow2 %s", i, got, want)
		}
		p.compared += 19
	}
}

func (p *pair) compare(source netip.Addr, payload []byte) {
	records, complete := p.theirs(source, payload)
	ours := p.l.sendNow(payload)
	n := 0
	for _, want := range records {
		if n >= len(ours) {
			p.t.Fatalf("we have %d records, goflow2 more", len(ours))
		}
		p.compareRecord(want, &ours[n])
		n++
		if slices.ContainsFunc([]uint16{1, 2, 85, 86}, func(id uint16) bool { return number(want.reversed[id]) != 0 }) {
			n++ // the other direction is a record of its own with us (case 35)
		}
	}
	switch {
	case !complete || n == len(ours):
	case payload[1] == 9 && n < len(ours) && setsOf(payload[headerV9:]) > int(binary.BigEndian.Uint16(payload[2:])):
		p.excused["case 7: goflow2 stops after as many sets as the header counts records"]++
	default:
		p.t.Errorf("we have %d records, goflow2 %d", len(ours), n)
	}
}

// theirs returns goflow2's records, up to where it gives the datagram up.
func (p *pair) theirs(source netip.Addr, payload []byte) (records []*theirs, complete bool) {
	if p.systems[source] == nil {
		p.systems[source] = sane{goflow.CreateTemplateSystem()}
	}
	var nine goflow.NFv9Packet
	var ten goflow.IPFIXPacket
	defer func() {
		if what := recover(); what != nil {
			p.failed[fmt.Sprintf("panic: %v", what)]++
			complete = false
		}
	}()
	err := goflow.DecodeMessageVersion(bytes.NewBuffer(payload), p.systems[source], &nine, &ten)
	complete = err == nil || errors.Is(err, goflow.ErrorTemplateNotFound)
	if !complete {
		text := err.Error()
		p.failed[text[strings.LastIndex(text, "] ")+1:]]++
	}
	sets, h := nine.FlowSets, context{exportMs: int64(nine.UnixSeconds) * 1000, uptime: nine.SystemUptime,
		hasUptime: true}
	if ten.Version == 10 {
		sets, h = ten.FlowSets, context{exportMs: int64(ten.ExportTime) * 1000}
	}
	for _, set := range sets {
		data, ok := set.(goflow.DataFlowSet)
		if !ok {
			continue
		}
		for _, r := range data.Records {
			records = append(records, theirRecord(r, h))
		}
	}
	return records, complete
}

func setsOf(body []byte) (n int) {
	for len(body) >= setHeader {
		length := int(binary.BigEndian.Uint16(body[2:]))
		if length < setHeader || length > len(body) {
			break
		}
		body = body[length:]
		n++
	}
	return n
}

func theirRecord(r goflow.DataRecord, h context) *theirs {
	out := &theirs{values: map[uint16][]byte{}, reversed: map[uint16][]byte{}, header: h}
	for _, f := range r.Values {
		v, _ := f.Value.([]byte)
		switch {
		case len(v) == 0:
		case f.Pen == reversePEN:
			out.reversed[f.Type] = v
		case !f.PenProvided:
			out.values[f.Type] = v
		}
	}
	return out
}

func (p *pair) compareRecord(want *theirs, have *flow.Record) {
	p.t.Helper()
	for id, v := range want.values {
		o, known := p.opinions[id]
		if !known || !legal(o.widths, v) {
			continue
		}
		p.compared++
		w, h := o.want(v, want), o.have(have)
		if w == h {
			continue
		}
		i := slices.IndexFunc(p.excuses, func(e excuse) bool {
			return slices.Contains(e.ids, id) &&
				e.holds(id, want, h)
		})
		if i < 0 {
			p.t.Errorf("element %d of template %d: ours %s, goflow2 %s (%x)", id, have.TemplateID, h, w, v)
			continue
		}
		p.excused[p.excuses[i].name]++
	}
}

// legal reports whether a value has a width that its element can have; for integers that is any.
func legal(widths []int, v []byte) bool {
	return len(widths) > 1 && len(v) <= 8 || slices.Contains(widths, len(v))
}

// report says what was compared, and what was not.
func (p *pair) report() {
	p.t.Logf("%d fields compared", p.compared)
	for name, n := range p.excused {
		p.t.Logf("%d differ: %s", n, name)
	}
	for name, n := range p.failed {
		p.t.Logf("goflow2 gave up %d datagrams: %s", n, name)
	}
}

// decodeCapture decodes all datagrams of a capture that have NetFlow or IPFIX.
func (p *pair) decodeCapture(path string) {
	file, err := os.Open(path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer file.Close()
	reader, err := pcapgo.NewReader(file)
	if err != nil {
		p.t.Fatal(err)
	}
	for {
		data, _, err := reader.ReadPacketData()
		if err != nil {
			return
		}
		packet := gopacket.NewPacket(data, reader.LinkType(), gopacket.Default)
		udp, _ := packet.TransportLayer().(*layers.UDP)
		if udp == nil || len(udp.Payload) < headerV9 {
			continue
		}
		source, _ := netip.AddrFromSlice(packet.NetworkLayer().NetworkFlow().Src().Raw())
		p.decode(netip.AddrPortFrom(source.Unmap(), uint16(udp.SrcPort)), udp.Payload)
	}
}

func TestSecondOpinionOnCaptures(t *testing.T) {
	for _, path := range captures(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			p := newPair(t)
			p.decodeCapture(path)
			p.report()
			if len(p.failed) > 0 {
				t.Errorf("goflow2 gave up: %v", p.failed)
			}
		})
	}
}

// corpus is the folder of other people's captures, beside the project's own.
func corpus(t *testing.T) []string {
	paths, _ := filepath.Glob("../../../shared/corpus/*/capture.pcap")
	if len(paths) == 0 {
		t.Skip("no corpus beside the project")
	}
	return paths
}

func TestSecondOpinionOnTheCorpus(t *testing.T) {
	// Where goflow2 gives datagrams up, and how many: nowhere, with templates without bytes kept from it (case 28).
	gaveUp := map[string]int{}
	for _, path := range corpus(t) {
		name := filepath.Base(filepath.Dir(path))
		if strings.HasPrefix(name, "bmp-") || strings.HasPrefix(name, "bgp-") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			p.decodeCapture(path)
			p.report()
			total := 0
			for _, n := range p.failed {
				total += n
			}
			if total != gaveUp[name] {
				t.Errorf("goflow2 gave up %d datagrams, want %d: %v", total, gaveUp[name], p.failed)
			}
		})
	}
}

// Every element that we map must be in one of the two lists.
func TestSecondOpinionKnowsEveryElement(t *testing.T) {
	for id := range elements() {
		_, alone := opinions()[id]
		if _, other := together()[id]; alone == other {
			t.Errorf("element %d is in one of opinions and together: %t, %t", id, alone, other)
		}
	}
}

func TestSecondOpinionOnEveryWidth(t *testing.T) {
	for id, o := range opinions() {
		for _, length := range o.widths {
			for _, value := range generated(id, length) {
				items := []item{el(id, value), el(499, u16(0xffff))}
				if (id == 176 || id == 177 || id == 178 || id == 179) && length > 2 {
					continue
				}
				p := newPair(t)
				h := header{exportS: exportS, uptime: testUptime}
				p.decode(p.l.source, v9(h, set(0, templateOf(256, items...)), set(256, dataOf(items...))))
				p.decode(p.l.source, ipfix(h, set(2, templateOf(256, items...)), set(256, dataOf(items...))))
				items[0].variable = true
				p.decode(p.l.source, ipfix(h, set(2, templateOf(257, items...)), set(257, dataOf(items...))))
				if p.compared != 3 || len(p.failed) > 0 {
					t.Errorf("element %d of %d bytes: %d fields compared, goflow2 gave up %v", id, length, p.compared,
						p.failed)
				}
			}
		}
	}
}

// generated are values of an element: a small one, and one that fills its bytes. Times lie near the export time.
func generated(id uint16, length int) [][]byte {
	switch id {
	case 21, 22:
		return [][]byte{u32(testUptime - 5000), u32(testUptime + 5), u32(0)}
	case 150, 151, 322:
		return [][]byte{u32(exportS - 5)}
	case 152, 153, 323:
		return [][]byte{u64(exportMs - 5123)}
	case 154, 155, 156, 157, 324, 325:
		return [][]byte{ntp(exportMs - 5123)}
	}
	full := slices.Repeat(u8(0xa5), length)
	return [][]byte{width(0x61, length), full}
}

// What goflow2 gives up, and we decode: the records behind it are lost to goflow2.
func TestSecondOpinionWhereGoflow2GivesUp(t *testing.T) {
	template, data := set(2, templateOf(256, v4Flow()...)), set(256, dataOf(v4Flow()...))
	option := []item{el(149, u32(0)), el(34, u32(50))}
	tests := []struct {
		name    string
		payload []byte
		gaveUp  int
	}{
		{"nothing", ipfix(ipfixHeader, template, data), 0},
		{"case 20: a reserved set", ipfix(ipfixHeader, template, set(9), data), 1},
		{"case 20: a template that is cut", ipfix(ipfixHeader, template, set(2, u16(257), u16(9)), data), 1},
		{"case 23: withdrawal of an options template", ipfix(ipfixHeader, template, set(3, u16(300), u16(0)), data), 1},
		{"case 27: a variable length that is cut",
			ipfix(ipfixHeader, set(2, templateOf(257, el(1, u32(1)), variable(82, nil))),
				set(257, u32(1), u8(255)), template, data), 1},
		{"case 26: more scopes than fields", ipfix(ipfixHeader, template, set(3, optionsIPFIX(300, 3, option...)),
			data), 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := newPair(t)
			p.decode(p.l.source, test.payload)
			gaveUp := 0
			for _, n := range p.failed {
				gaveUp += n
			}
			equal(t, "datagrams that goflow2 gave up", gaveUp, test.gaveUp)
			equal(t, "our records", len(p.l.got), 1)
			p.report()
		})
	}
}

// sendNow decodes a datagram as received at its header's time.
func (l *lab) sendNow(payload []byte) []flow.Record {
	at := payload[8:]
	if binary.BigEndian.Uint16(payload) == 10 {
		at = payload[4:]
	}
	l.received = int64(binary.BigEndian.Uint32(at)) * int64(1e9)
	return l.send(payload)
}
