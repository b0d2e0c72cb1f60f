package capture

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/metranova/flow-collector/decoder/exporter"
)

var at = time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)

// frame is a UDP datagram from 192.0.2.1:1000 behind the layers given.
func frame(t *testing.T, payload []byte, below ...gopacket.SerializableLayer) []byte {
	t.Helper()
	ip := &layers.IPv4{Version: 4, TTL: 9, Protocol: layers.IPProtocolUDP, SrcIP: net.IP{192, 0, 2, 1},
		DstIP: net.IP{192, 0, 2, 2}}
	udp := &layers.UDP{SrcPort: 1000, DstPort: 2055}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	return serialize(t, append(below, ip, udp, gopacket.Payload(payload))...)
}

func serialize(t *testing.T, stack ...gopacket.SerializableLayer) []byte {
	t.Helper()
	buffer := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buffer, options, stack...); err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(buffer.Bytes())
}

func ethernet(next layers.EthernetType) *layers.Ethernet {
	return &layers.Ethernet{SrcMAC: make(net.HardwareAddr, 6), DstMAC: make(net.HardwareAddr, 6), EthernetType: next}
}

// pcap writes frames to a file.
func pcap(t *testing.T, link layers.LinkType, frames ...[]byte) string {
	t.Helper()
	var out bytes.Buffer
	w := pcapgo.NewWriterNanos(&out)
	if err := w.WriteFileHeader(65535, link); err != nil {
		t.Fatal(err)
	}
	for _, f := range frames {
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(f), Length: len(f)},
			f); err != nil {
			t.Fatal(err)
		}
	}
	return save(t, out.Bytes())
}

func save(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "capture.pcap")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// readAll returns every datagram with its payload copied, and the error that ended the file.
func readAll(t *testing.T, path string) ([]exporter.Datagram, Skipped, error) {
	t.Helper()
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all []exporter.Datagram
	for {
		d, err := r.Next()
		if err != nil {
			return all, r.Skipped(), err
		}
		d.Payload = bytes.Clone(d.Payload)
		all = append(all, d)
	}
}

func TestLinkTypes(t *testing.T) {
	payload := []byte("a datagram")
	v4 := frame(t, payload)
	ip6 := &layers.IPv6{Version: 6, HopLimit: 9, NextHeader: layers.IPProtocolUDP, SrcIP: net.ParseIP("2001:db8::1"),
		DstIP: net.ParseIP("2001:db8::2")}
	udp := &layers.UDP{SrcPort: 1000, DstPort: 2055}
	if err := udp.SetNetworkLayerForChecksum(ip6); err != nil {
		t.Fatal(err)
	}
	v6 := serialize(t, ethernet(layers.EthernetTypeIPv6), ip6, udp, gopacket.Payload(payload))
	tests := []struct {
		name   string
		link   layers.LinkType
		frame  []byte
		source string
	}{
		{"Ethernet", layers.LinkTypeEthernet, frame(t, payload, ethernet(layers.EthernetTypeIPv4)), "192.0.2.1:1000"},
		{"Ethernet with IPv6", layers.LinkTypeEthernet, v6, "[2001:db8::1]:1000"},
		{"802.1Q", layers.LinkTypeEthernet, frame(t, payload, ethernet(layers.EthernetTypeDot1Q),
			&layers.Dot1Q{VLANIdentifier: 5, Type: layers.EthernetTypeIPv4}), "192.0.2.1:1000"},
		{"raw IP", layers.LinkTypeRaw, v4, "192.0.2.1:1000"},
		{"raw IP of BSD", linkRawBSD, v4, "192.0.2.1:1000"},
		{"IPv4", linkIPv4, v4, "192.0.2.1:1000"},
		{"IPv6", linkIPv6, v6[14:], "[2001:db8::1]:1000"},
		{"PPP like HDLC", linkHDLC, append([]byte{0xff, 3, 0, 0x21}, v4...), "192.0.2.1:1000"},
		{"BSD loopback", layers.LinkTypeNull, append([]byte{2, 0, 0, 0}, v4...), "192.0.2.1:1000"},
		{"Linux cooked", layers.LinkTypeLinuxSLL, append([]byte{0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0}, v4...),
			"192.0.2.1:1000"},
		{"Linux cooked v2", layers.LinkTypeLinuxSLL2,
			append([]byte{8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0}, v4...), "192.0.2.1:1000"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, _, err := readAll(t, pcap(t, test.link, test.frame))
			if !errors.Is(err, io.EOF) || len(got) != 1 {
				t.Fatalf("%d datagrams, then %v; want 1, then EOF", len(got), err)
			}
			d := got[0]
			if string(d.Payload) != string(payload) || d.Source != netip.MustParseAddrPort(test.source) ||
				d.Received != at.UnixNano() || d.Truncated {
				t.Errorf("got %+v", d)
			}
		})
	}
}

func TestPcapng(t *testing.T) {
	var out bytes.Buffer
	w, err := pcapgo.NewNgWriter(&out, layers.LinkTypeEthernet)
	if err != nil {
		t.Fatal(err)
	}
	f := frame(t, []byte("one"), ethernet(layers.EthernetTypeIPv4))
	if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(f), Length: len(f)}, f); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	got, _, err := readAll(t, save(t, out.Bytes()))
	if !errors.Is(err, io.EOF) || len(got) != 1 || string(got[0].Payload) != "one" || got[0].Received != at.UnixNano() {
		t.Errorf("got %v, then %v", got, err)
	}
}

func TestFragmentsAreReassembled(t *testing.T) {
	payload := bytes.Repeat([]byte("0123456789abcdef"), 200)
	whole := frame(t, payload)[20:] // the UDP datagram
	part := func(offset, end int, more bool) []byte {
		ip := &layers.IPv4{
			Version: 4, TTL: 9, Id: 77, Protocol: layers.IPProtocolUDP, FragOffset: uint16(offset / 8),
			SrcIP: net.IP{192, 0, 2, 1}, DstIP: net.IP{192, 0, 2, 2},
		}
		if more {
			ip.Flags = layers.IPv4MoreFragments
		}
		return serialize(t, ethernet(layers.EthernetTypeIPv4), ip, gopacket.Payload(whole[offset:end]))
	}
	path := pcap(t, layers.LinkTypeEthernet, part(0, 1480, true), part(1480, 2960, true), part(2960, len(whole), false))
	got, skipped, err := readAll(t, path)
	if !errors.Is(err, io.EOF) || len(got) != 1 || !bytes.Equal(got[0].Payload, payload) {
		t.Fatalf("%d datagrams, then %v", len(got), err)
	}
	if skipped.Fragments != 3 {
		t.Errorf("%d fragments counted, want 3", skipped.Fragments)
	}
}

// parts6 are the fragments of a UDP datagram over IPv6.
func parts6(t *testing.T, id uint32, payload []byte, size int) (frames [][]byte) {
	t.Helper()
	ip := &layers.IPv6{Version: 6, HopLimit: 9, NextHeader: layers.IPProtocolIPv6Fragment,
		SrcIP: net.ParseIP("2001:db8::1"), DstIP: net.ParseIP("2001:db8::2")}
	udp := &layers.UDP{SrcPort: 1000, DstPort: 2055}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	whole := serialize(t, udp, gopacket.Payload(payload))
	for at := 0; at < len(whole); at += size {
		end := min(at+size, len(whole))
		fragment := &layers.IPv6Fragment{
			NextHeader: layers.IPProtocolUDP, FragmentOffset: uint16(at / 8), MoreFragments: end < len(whole),
			Identification: id,
		}
		frames = append(frames, serialize(t, ethernet(layers.EthernetTypeIPv6), ip, fragment,
			gopacket.Payload(whole[at:end])))
	}
	return frames
}

// behindOptions puts an extension header (destination options, all padding) between the IPv6 and the fragment header.
func behindOptions(frames [][]byte) (with [][]byte) {
	const header = 14 + 40
	for _, f := range frames {
		b := bytes.Clone(f[:header])
		b[14+5] += 8 // payload length; no test has a carry here
		b[14+6] = byte(layers.IPProtocolIPv6Destination)
		b = append(b, byte(layers.IPProtocolIPv6Fragment), 0, 1, 4, 0, 0, 0, 0)
		with = append(with, append(b, f[header:]...))
	}
	return with
}

func TestIPv6FragmentsAreReassembled(t *testing.T) {
	payload := bytes.Repeat([]byte("0123456789abcdef"), 200)
	three := parts6(t, 7, payload, 1280)
	other := parts6(t, 8, bytes.Repeat([]byte("x"), 3000), 1280)
	overlap := bytes.Clone(three[1])
	overlap[14+40+3] -= 8 // the offset, one unit earlier
	for name, test := range map[string]struct {
		frames [][]byte
		want   int
	}{
		"in order":             {three, 1},
		"the last first":       {[][]byte{three[2], three[0], three[1]}, 1},
		"one twice":            {[][]byte{three[0], three[0], three[1], three[2]}, 1},
		"two datagrams mixed":  {[][]byte{three[0], other[0], other[1], three[1], three[2], other[2]}, 2},
		"one lost":             {[][]byte{three[0], three[2], other[0], other[1], other[2]}, 1},
		"overlapping":          {[][]byte{three[0], overlap, three[2]}, 0},
		"a fragment alone":     {parts6(t, 9, []byte("short"), 1280), 1},
		"a number used twice":  {append(append([][]byte{}, three...), three...), 2},
		"behind other headers": {behindOptions(three), 1},
	} {
		t.Run(name, func(t *testing.T) {
			got, skipped, err := readAll(t, pcap(t, layers.LinkTypeEthernet, test.frames...))
			if !errors.Is(err, io.EOF) || len(got) != test.want || skipped.Fragments != len(test.frames) {
				t.Fatalf("%d datagrams, %+v, then %v", len(got), skipped, err)
			}
			if test.want > 0 && got[0].Source.String() != "[2001:db8::1]:1000" {
				t.Errorf("source %v", got[0].Source)
			}
			if test.want == 1 && name == "in order" && !bytes.Equal(got[0].Payload, payload) {
				t.Error("the payload is another")
			}
		})
	}
}

// Fragments whose rest never comes are let go, and cost no datagram that is whole.
func TestFragmentsAreBounded(t *testing.T) {
	var frames [][]byte
	for id := range uint32(60_000) { // 72 MB of first fragments
		frames = append(frames, parts6(t, id, make([]byte, 1300), 1208)[0])
	}
	frames = append(frames, parts6(t, 1<<31, []byte(strings.Repeat("y", 1300)), 1208)...)
	path := pcap(t, layers.LinkTypeEthernet, frames...)
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n := 0
	for ; err == nil; n++ {
		_, err = r.Next()
	}
	if got := n - 1; got != 1 || !errors.Is(err, io.EOF) {
		t.Errorf("%d datagrams, then %v", got, err)
	}
	if r.held.bytes > maxHeldBytes || r.held.bytes == 0 {
		t.Errorf("%d bytes held in the end, want fewer than %d", r.held.bytes, maxHeldBytes)
	}
}

func TestWhatGivesNoDatagram(t *testing.T) {
	arp := serialize(t, ethernet(layers.EthernetTypeARP), gopacket.Payload(make([]byte, 28)))
	cut := frame(t, make([]byte, 100), ethernet(layers.EthernetTypeIPv4))[:90]
	got, skipped, err := readAll(t, pcap(t, layers.LinkTypeEthernet, arp, cut))
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if len(got) != 1 || !got[0].Truncated {
		t.Errorf("a cut datagram gives %+v, want one marked truncated", got)
	}
	if want := (Skipped{NotUDP: 1, Cut: 1}); skipped != want {
		t.Errorf("skipped %+v, want %+v", skipped, want)
	}
}

func TestBadFiles(t *testing.T) {
	good, err := os.ReadFile(pcap(t, layers.LinkTypeEthernet, frame(t, []byte("x"), ethernet(layers.EthernetTypeIPv4)),
		frame(t, []byte("y"), ethernet(layers.EthernetTypeIPv4))))
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := readAll(t, save(t, good[:len(good)-5]))
	if len(got) != 1 || err == nil || errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "ends within a packet") {
		t.Errorf("a cut file gives %d datagrams, then %v", len(got), err)
	}
	for name, data := range map[string][]byte{"empty": nil, "no capture": []byte("not a capture at all")} {
		if _, err := Open(save(t, data)); err == nil || !strings.Contains(err.Error(), "capture.pcap") {
			t.Errorf("%s: error %v does not name the file", name, err)
		}
	}
	if _, err := Open("missing.pcap"); err == nil || !strings.Contains(err.Error(), "missing.pcap") {
		t.Errorf("a missing file: %v", err)
	}
}
