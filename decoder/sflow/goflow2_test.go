package sflow

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	goflow "github.com/netsampler/goflow2/v2/decoders/sflow"
	"github.com/netsampler/goflow2/v2/producer"
	protoproducer "github.com/netsampler/goflow2/v2/producer/proto"

	"github.com/metranova/flow-collector/decoder/flow"
)

// goflowMessages is what goflow2 makes of a datagram's flow samples.
func goflowMessages(payload []byte) ([]producer.ProducerMessage, error) {
	var packet goflow.Packet
	if err := goflow.DecodeMessageVersion(bytes.NewBuffer(payload), &packet); err != nil {
		return nil, fmt.Errorf("goflow2 decoding the datagram: %w", err)
	}
	messages, err := protoproducer.ProcessMessageSFlowConfig(&packet, nil)
	if err != nil {
		return nil, fmt.Errorf("goflow2 reading the samples: %w", err)
	}
	return messages, nil
}

type goflowMessage = protoproducer.ProtoProducerMessage

// view is one field as both decoders have it, and why they may differ: explain returns "" where they may not.
type view struct {
	field        string
	ours, theirs any
	explain      func() string
}

// number is a field that both have as an integer.
func number[T ~uint8 | ~uint16 | ~uint32 | ~uint64, U ~uint32 | ~uint64](field string, ours T, theirs U,
	explain func() string) view {
	return view{field, uint64(ours), uint64(theirs), explain}
}

// ipText is goflow2's address; no address is "::", as ours.
func ipText(b []byte) string {
	a, ok := netip.AddrFromSlice(b)
	if !ok || a.IsUnspecified() {
		return "::"
	}
	return a.Unmap().String()
}

func ourIP(a flow.Addr) string {
	if a.IsUnspecified() {
		return "::"
	}
	return a.String()
}

func mac(b [6]byte) (n uint64) {
	for _, octet := range b {
		n = n<<8 | uint64(octet)
	}
	return n
}

func stackOf(r *flow.Record) (labels []uint32) {
	for _, entry := range r.MPLS[:r.MPLSCount] {
		labels = append(labels, entry>>4)
	}
	return labels
}

// because gives a reason where a condition holds.
func because(holds bool, reason string) func() string {
	return func() string {
		if holds {
			return reason
		}
		return ""
	}
}

// views are the fields of a record and of goflow2's message of the same sample.
func views(r *flow.Record, m *goflowMessage) []view {
	none := because(false, "")
	formatBits := func(kind flow.InterfaceKind) func() string {
		return because(kind != flow.InterfaceIndex,
			"case 48: goflow2 takes an interface's format for part of its number")
	}
	ownAS := because(len(m.AsPath) == 0 || r.SrcAS == 0,
		"case 52: goflow2 puts the router's own AS where there is none")
	unknownVLAN := func(vlan uint32) func() string {
		return because(vlan >= noVLAN, "case 53: goflow2 takes an unknown VLAN for a number")
	}
	onePath := because(len(m.AsPath) < len(r.ASPath), "case 52: goflow2 reads the first segment of a path only")
	return []view{
		{"exporter", ourIP(r.Exporter), ipText(m.SamplerAddress), none},
		number("sampling rate", r.SamplingRate, m.SamplingRate, none),
		number("packets", r.Packets, m.Packets, none),
		number("bytes", r.Bytes, m.Bytes, none),
		number("input", r.InIf, m.InIf, formatBits(r.InIfKind)),
		number("output", r.OutIf, m.OutIf, formatBits(r.OutIfKind)),
		{"source", ourIP(r.SrcAddr), ipText(m.SrcAddr), none},
		{"destination", ourIP(r.DstAddr), ipText(m.DstAddr), none},
		number("protocol", r.IPProtocol, m.Proto, none),
		number("source port", r.SrcPort, m.SrcPort, none),
		number("destination port", r.DstPort, m.DstPort, none),
		number("ToS", r.ToS, m.IpTos, none),
		number("flow label", r.FlowLabel, m.Ipv6FlowLabel, none),
		number("TCP flags", r.TCPFlags, m.TcpFlags,
			because(m.TcpFlags == 0, "goflow2 leaves the flags of sampled_ipv4 and sampled_ipv6 out")),
		number("ICMP type", r.ICMPType, m.IcmpType,
			because(m.IcmpType == 0, "goflow2 leaves the type of a sampled header out")),
		number("ICMP code", r.ICMPCode, m.IcmpCode,
			because(m.IcmpCode == 0, "goflow2 leaves the code of a sampled header out")),
		number("source MAC", mac(r.SrcMAC), m.SrcMac, none),
		number("destination MAC", mac(r.DstMAC), m.DstMac, none),
		number("source VLAN", r.SrcVLAN, m.SrcVlan, unknownVLAN(m.SrcVlan)),
		number("destination VLAN", r.DstVLAN, m.DstVlan, unknownVLAN(m.DstVlan)),
		number("tag", r.FrameVLAN, m.VlanId, because(uint16(m.VlanId)&0xfff == r.FrameVLAN,
			"goflow2 takes a tag's priority for part of its VLAN")),
		{"labels", fmt.Sprint(stackOf(r)), fmt.Sprint(m.MplsLabel), none},
		{"next hop", ourIP(r.NextHop), ipText(m.NextHop), none},
		number("source mask", r.SrcMask, m.SrcNet, none),
		number("destination mask", r.DstMask, m.DstNet, none),
		{"BGP next hop", ourIP(r.BGPNextHop), ipText(m.BgpNextHop), none},
		number("source AS", r.SrcAS, m.SrcAs, ownAS),
		number("destination AS", r.DstAS, m.DstAs, func() string { return ownAS() + onePath() }),
		number("destination peer", r.PeerDstAS, m.NextHopAs, none),
		{"path", fmt.Sprint(slices.Clone(r.ASPath)), fmt.Sprint(m.AsPath), onePath},
		{"communities", fmt.Sprint(r.Communities), fmt.Sprint(m.BgpCommunities), onePath},
	}
}

// compare decodes a datagram both ways and returns how many records it compared, and the reasons of differences.
func compare(t *testing.T, payload []byte, reasons map[string]int) (records int) {
	t.Helper()
	messages, err := goflowMessages(payload)
	if err != nil {
		t.Errorf("no second opinion: %v", err)
		return 0
	}
	// A sample without IP is a message to goflow2, and no record to us.
	messages = slices.DeleteFunc(messages,
		func(m producer.ProducerMessage) bool { return len(m.(*goflowMessage).SrcAddr) == 0 })
	ours := newLab(t, Options{}).send(payload)
	if len(ours) != len(messages) {
		t.Errorf("%d records, goflow2 has %d", len(ours), len(messages))
		return 0
	}
	for i := range ours {
		for _, v := range views(&ours[i], messages[i].(*goflowMessage)) {
			if v.ours == v.theirs {
				continue
			}
			reason := v.explain()
			if reason == "" {
				t.Errorf("record %d: %s is %v, goflow2 has %v", i, v.field, v.ours, v.theirs)
			}
			reasons[v.field+": "+reason]++
		}
	}
	return len(ours)
}

// secondOpinion compares datagrams, and logs what differs and why.
func secondOpinion(t *testing.T, payloads [][]byte) (records int) {
	t.Helper()
	reasons := map[string]int{}
	for _, payload := range payloads {
		records += compare(t, payload, reasons)
	}
	for reason, n := range reasons {
		t.Logf("%d × %s", n, reason)
	}
	return records
}

func TestSecondOpinion_OwnCapture(t *testing.T) {
	if n := secondOpinion(t, datagrams(t, ownCapture)); n < 100 {
		t.Errorf("%d records compared, want 100 and more", n)
	}
}

// Datagrams with what the captures do not have.
func TestSecondOpinion_Generated(t *testing.T) {
	frame := headerRecord(headerEthernet, 1518, tcp4())
	h := head{agent: agentAddress, sequence: 1, uptime: 1000}
	interfaces := func(in, out uint32) []byte {
		s := plainHead
		s.in, s.out = in, out
		return compact(s, frame)
	}
	gateway := func(next string, src uint32, path ...segment) []byte {
		return compact(plainHead, frame, gatewayRecord(next, 64499, src, 3, path, []uint32{1, 2}, 100))
	}
	tests := map[string][]byte{
		"128-byte headers":   benchDatagram(),
		"router and gateway": routedDatagram(),
		"agent with IPv6":    datagramOf(head{agent: "2001:db8::1"}, plain(1), plain(2)),
		"interface formats": datagramOf(h, interfaces(0x3fffffff, 1<<30|256), interfaces(0, 2<<30|5),
			interfaces(49001, 0)),
		"tags":          datagramOf(h, compact(plainHead, headerRecord(headerEthernet, 1518, tcp4(0xe064)))),
		"unknown VLANs": datagramOf(h, compact(plainHead, frame, switchRecord(0xffffffff, 4095))),
		"gateways": datagramOf(h, gateway("192.0.2.10", 7, segment{2, []uint32{4, 5}}), gateway("2001:db8::9", 7),
			gateway("192.0.2.10", 0, segment{2, []uint32{4}}),
			gateway("192.0.2.10", 7, segment{2, []uint32{4}}, segment{1, []uint32{5, 6}}),
			gateway("192.0.2.10", 0, segment{2, []uint32{4200000001}})),
		"labels": datagramOf(h, compact(plainHead, headerRecord(headerEthernet, 1518,
			join(tcp4()[:12], u16(0x8847), bin("000120ff 000101ff"), packet4())))),
		"fields of the agent": datagramOf(h,
			expanded(plainHead, ipRecord(sampledIPv4, 1500, 6, "10.0.0.1", "10.0.0.2", 1, 2, 3, 4)),
			expanded(plainHead, ipRecord(sampledIPv6, 1500, 17, "2001:db8::1", "2001:db8::2", 1, 2, 0, 4))),
		"counters and discards": datagramOf(h, counterSampleOf(1, 7, ifCounters()), discardSample(1, 2), plain(1)),
		"no IP": datagramOf(h, compact(plainHead,
			headerRecord(headerEthernet, 64, join(tcp4()[:12], u16(0x0806), make([]byte, 28)))), plain(2)),
	}
	for name, payload := range tests {
		t.Run(name, func(t *testing.T) {
			if secondOpinion(t, [][]byte{payload}) == 0 {
				t.Error("nothing was compared")
			}
		})
	}
}

// corpus holds captures of other agents. It is no part of the project.
const corpus = "../../../shared/corpus"

func TestSecondOpinion_Corpus(t *testing.T) {
	folders, err := os.ReadDir(corpus)
	if err != nil {
		t.Skipf("no other captures: %v", err)
	}
	for _, folder := range folders {
		if !strings.Contains(folder.Name(), "sflow") {
			continue
		}
		t.Run(folder.Name(), func(t *testing.T) {
			t.Logf("%d records compared", secondOpinion(t,
				datagrams(t, filepath.Join(corpus, folder.Name(), "capture.pcap"))))
		})
	}
}
