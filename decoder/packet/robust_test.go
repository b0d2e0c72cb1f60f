package packet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/metranova/flow-collector/decoder/flow"
)

// frames are those of all tables.
func frames() []frameCase {
	var all []frameCase
	for _, cases := range [][]frameCase{linkCases, mplsCases, networkCases} {
		all = append(all, cases...)
	}
	for _, c := range tunnelCases {
		all = append(all, frameCase{c.name, Ethernet, c.frame, c.inner})
	}
	return all
}

// A frame may end anywhere: what was read before is kept, what is read agrees with the whole frame's, and nothing is
// added.
func TestParse_TruncatedAnywhere(t *testing.T) {
	for _, test := range frames() {
		t.Run(test.name, func(t *testing.T) {
			var whole, before flow.Record
			Options{}.Parse(test.frame, test.first, &whole)
			for n := range test.frame {
				var got flow.Record
				Options{}.Parse(test.frame[:n:n], test.first, &got)
				if lost := before.Has &^ got.Has; lost != 0 {
					t.Fatalf("%d bytes: lost %b, which %d bytes gave", n, lost, n-1)
				}
				if extra := got.Has &^ whole.Has; extra != 0 {
					t.Fatalf("%d bytes: %b is not in the whole frame", n, extra)
				}
				checkAgrees(t, n, got, whole)
				var inner flow.Record
				Options{Inner: true}.Parse(test.frame[:n:n], test.first, &inner)
				before = got
			}
		})
	}
}

// checkAgrees compares the fields of which a part would be a wrong value.
func checkAgrees(t *testing.T, n int, got, whole flow.Record) {
	t.Helper()
	if got.Sent(flow.SrcAddr) && (got.SrcAddr != whole.SrcAddr || got.DstAddr != whole.DstAddr) {
		t.Fatalf("%d bytes: %s to %s", n, got.SrcAddr, got.DstAddr)
	}
	if got.Sent(flow.SrcPort) && (got.SrcPort != whole.SrcPort || got.DstPort != whole.DstPort) {
		t.Fatalf("%d bytes: ports %d, %d", n, got.SrcPort, got.DstPort)
	}
	if got.FrameVLAN != 0 && got.FrameVLAN != whole.FrameVLAN || got.FrameInnerVLAN != 0 &&
		got.FrameInnerVLAN != whole.FrameInnerVLAN {
		t.Fatalf("%d bytes: tags %d, %d", n, got.FrameVLAN, got.FrameInnerVLAN)
	}
	if got.MPLSCount > whole.MPLSCount || got.TCPFlags != 0 && got.TCPFlags != whole.TCPFlags {
		t.Fatalf("%d bytes: %d labels, flags %x", n, got.MPLSCount, got.TCPFlags)
	}
}

func TestParse_Info(t *testing.T) {
	plain := join(ether(0x0800), outer4(6, tcp()))
	tests := []struct {
		name  string
		frame []byte
		first Layer
		want  Info
	}{
		{"IPv4", plain, Ethernet, Info{IP: true, EtherType: 0x0800, LinkLength: 14, NetworkLength: 40}},
		{"IPv6 behind two tags", join(ether(0x88a8), bin("00c8 8100 0064 86dd"), outer6(6, tcp())), Ethernet,
			Info{IP: true, EtherType: 0x86dd, LinkLength: 22, NetworkLength: 60}},
		{"a tunnel's lengths are the outer packet's", join(ether(0x0800), outer4(4, inner4(6, tcp()))), Ethernet,
			Info{IP: true, EtherType: 0x0800, LinkLength: 14, NetworkLength: 60}},
		{"labels", join(ether(0x8847), label16Bottom, outer4(6, tcp())), Ethernet,
			Info{IP: true, EtherType: 0x8847, LinkLength: 18, NetworkLength: 40}},
		{"ARP", join(ether(0x0806), make([]byte, 28)), Ethernet, Info{EtherType: 0x0806}},
		{"another LLC", join(macs, u16(3), bin("424203")), Ethernet, Info{}},
		{"jumbogram", join(header6(6, outer6Src, outer6Dst, 0), tcp()), IPv6, Info{IP: true}},
		{"nothing", nil, Ethernet, Info{Cut: true}},
		{"nothing of IP", nil, IP, Info{Cut: true}},
		{"cut in the IP header", plain[:33], Ethernet, Info{EtherType: 0x0800, Cut: true}},
		{"cut in the ports", plain[:37], Ethernet,
			Info{IP: true, EtherType: 0x0800, LinkLength: 14, NetworkLength: 40, Cut: true}},
		{"cut before the TCP flags", plain[:47], Ethernet,
			Info{IP: true, EtherType: 0x0800, LinkLength: 14, NetworkLength: 40, Cut: true}},
		{"cut behind the TCP flags", plain[:48], Ethernet,
			Info{IP: true, EtherType: 0x0800, LinkLength: 14, NetworkLength: 40}},
		{"cut in the ICMP header", outer4(1, bin("03")), IPv4, Info{IP: true, NetworkLength: 21, Cut: true}},
		{"ICMP that ends behind its code", outer4(1, bin("0303")), IPv4, Info{IP: true, NetworkLength: 22}},
		{"ports that end the packet", outer4(17, bin("00350035")), IPv4, Info{IP: true, NetworkLength: 24}},
		{"cut in an 802.11 header", join(bin("0801 0000"), make([]byte, 20), bin("aaaa03 000000 08")), IEEE80211,
			Info{Cut: true}},
		{"802.11 of one byte", bin("08"), IEEE80211, Info{Cut: true}},
		{"cut in PPP", bin("00"), PPP, Info{Cut: true}},
		{"cut behind PPP", bin("0021"), PPP, Info{Cut: true}},
		{"cut in PPPoE", join(ether(0x8864), bin("1100 0007 00")), Ethernet, Info{EtherType: 0x8864, Cut: true}},
		{"cut behind the labels", label16Bottom, MPLS, Info{Cut: true}},
		{"too many tags", join(ether(0x8100), bin("0001 8100 0002 8100 0003 8100 0004 8100 0005 0800")), Ethernet,
			Info{Cut: true}},
		{"cut in a tag", join(ether(0x8100), bin("0064 08")), Ethernet, Info{Cut: true}},
		{"cut in the labels", join(ether(0x8847), label18Top, bin("0001")), Ethernet,
			Info{EtherType: 0x8847, Cut: true}},
		{"cut in extension headers", outer6(0, bin("06 01"), tcp())[:45], IPv6,
			Info{IP: true, NetworkLength: 62, Cut: true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var r flow.Record
			if diff := cmp.Diff(test.want, Options{}.Parse(test.frame, test.first, &r)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestParse_AllocatesNothing(t *testing.T) {
	all := frames()
	var r flow.Record
	n := testing.AllocsPerRun(10, func() {
		for _, test := range all {
			r.Reset()
			Options{Inner: true}.Parse(test.frame, test.first, &r)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// sampledHeaders are the headers that our own capture of an sFlow agent holds.
func sampledHeaders(f *testing.F) [][]byte {
	file, err := os.Open("../../bench/testdata/sfprobe.pcap")
	if err != nil {
		f.Fatalf("opening the capture: %v", err)
	}
	defer func() { _ = file.Close() }()
	capture, err := pcapgo.NewReader(file)
	if err != nil {
		f.Fatalf("reading the capture: %v", err)
	}
	var headers [][]byte
	for {
		data, _, err := capture.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return headers
		}
		if err != nil {
			f.Fatalf("reading the capture: %v", err)
		}
		headers = append(headers, headersIn(data)...)
	}
}

// headersIn finds sampled_header records: format 1, a length, header protocol 1, three lengths, the header.
func headersIn(datagram []byte) (headers [][]byte) {
	for {
		at := bytes.Index(datagram, u32(1))
		if at < 0 || at+24 > len(datagram) {
			return headers
		}
		record := datagram[at:]
		size, protocol, n := binary.BigEndian.Uint32(record[4:]), binary.BigEndian.Uint32(record[8:]),
			binary.BigEndian.Uint32(record[20:])
		if protocol == 1 && size == 16+(n+3)&^3 && int(24+n) <= len(record) {
			headers = append(headers, record[24:24+n])
			datagram = record[24+n:]
			continue
		}
		datagram = record[1:]
	}
}

func FuzzParse(f *testing.F) {
	captured := sampledHeaders(f)
	if len(captured) < 100 {
		f.Fatalf("the capture gave %d headers, want 100 and more", len(captured))
	}
	for _, header := range captured {
		f.Add(header, uint8(Ethernet))
	}
	for _, test := range frames() {
		f.Add(test.frame, uint8(test.first))
	}
	f.Fuzz(func(t *testing.T, frame []byte, first uint8) {
		for _, o := range []Options{{}, {Inner: true}} {
			var r flow.Record
			info := o.Parse(frame, Layer(first), &r)
			if info.IP && (info.LinkLength < 0 || info.LinkLength > len(frame)) {
				t.Errorf("the link header is %d of %d bytes", info.LinkLength, len(frame))
			}
			if int(r.MPLSCount) > len(r.MPLS) {
				t.Errorf("%d labels", r.MPLSCount)
			}
			if r.Sent(flow.SrcAddr) && r.IPVersion != 4 && r.IPVersion != 6 {
				t.Errorf("addresses of IP version %d", r.IPVersion)
			}
			if r.FrameVLAN > 0xfff || r.FrameInnerVLAN > 0xfff || r.FlowLabel > 0xfffff {
				t.Errorf("VLAN %d, %d, flow label %x", r.FrameVLAN, r.FrameInnerVLAN, r.FlowLabel)
			}
		}
	})
}
