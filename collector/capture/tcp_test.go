package capture

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/metranova/flow-collector/decoder/exporter"
)

// tcpFrame is a TCP segment from 192.0.2.1:179 to 192.0.2.2:4000.
func tcpFrame(t *testing.T, sequence uint32, flags, data string) []byte {
	t.Helper()
	ip := &layers.IPv4{Version: 4, IHL: 5, TTL: 1, Protocol: layers.IPProtocolTCP, SrcIP: []byte{192, 0, 2, 1},
		DstIP: []byte{192, 0, 2, 2}}
	tcp := &layers.TCP{SrcPort: 179, DstPort: 4000, Seq: sequence, SYN: strings.Contains(flags, "S"),
		FIN: strings.Contains(flags, "F"), RST: strings.Contains(flags, "R")}
	if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	return serialize(t, ethernet(layers.EthernetTypeIPv4), ip, tcp, gopacket.Payload(data))
}

// Segments come in their order, once, and what is missing is said.
func TestStreams(t *testing.T) {
	type seg struct {
		sequence    uint32
		flags, data string
	}
	big := strings.Repeat("x", 60000)
	var many []seg
	for i := range uint32(20) {
		many = append(many, seg{200 + i*60000, "", big})
	}
	tests := []struct {
		name string
		in   []seg
		want string
	}{
		{"in order", []seg{{99, "S", ""}, {100, "", "ab"}, {102, "", "cd"}}, "first ab|cd"},
		{"without a handshake", []seg{{100, "", "ab"}, {102, "", "cd"}}, "first ab|cd"},
		{"data in the SYN", []seg{{100, "S", "ab"}, {102, "", "cd"}}, "first ab|cd"},
		{"one twice", []seg{{100, "", "ab"}, {100, "", "ab"}, {102, "", "cd"}}, "first ab|cd"},
		{"overlapping", []seg{{100, "", "ab"}, {101, "", "bcd"}}, "first ab|cd"},
		{"out of order", []seg{{99, "S", ""}, {104, "", "ef"}, {102, "", "cd"}, {100, "", "ab"}}, "first ab|cd|ef"},
		{"over the end of the numbers", []seg{{0xffffffff, "", "ab"}, {1, "", "cd"}}, "first ab|cd"},
		{"closed", []seg{{100, "", "ab"}, {102, "F", "cd"}}, "first ab|cd|end"},
		{"reset", []seg{{100, "", "ab"}, {102, "R", ""}}, "first ab|end"},
		{"again", []seg{{100, "S", ""}, {101, "", "ab"}, {500, "S", ""}, {501, "", "cd"}}, "first ab|first cd"},
		{"missing", append([]seg{{100, "", "ab"}}, many...), "first ab|lost " + big},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var frames [][]byte
			for _, s := range test.in {
				frames = append(frames, tcpFrame(t, s.sequence, s.flags, s.data))
			}
			var got []string
			_, err := ReadStreams([]string{pcap(t, layers.LinkTypeEthernet, frames...)}, func(exporter.Datagram) {},
				func(s Segment) bool {
					if s.From != netip.MustParseAddrPort("192.0.2.1:179") ||
						s.To != netip.MustParseAddrPort("192.0.2.2:4000") {
						t.Errorf("from %s to %s", s.From, s.To)
					}
					text := string(s.Data)
					if s.First {
						text = "first " + text
					}
					if s.Lost {
						text = "lost " + text
					}
					if s.End {
						text = "end"
					}
					got = append(got, text)
					return true
				})
			if err != nil {
				t.Fatal(err)
			}
			if all := strings.Join(got, "|"); !strings.HasPrefix(all, test.want) ||
				len(all) > len(test.want) && test.name != "missing" {
				t.Errorf("got %.200s, want %.200s", all, test.want)
			}
		})
	}
}

// Memory of streams is bounded, however many there are.
func TestStreamsAreBounded(t *testing.T) {
	var s streams
	use := func(Segment) bool { return true }
	for i := range uint32(maxStreams + 100) {
		from := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		for j := range uint32(3) {
			p := gopacket.NewPacket(tcpFrame(t, 100+j*1000, "", fmt.Sprint(bytes.Repeat([]byte("x"), 10))),
				layers.LayerTypeEthernet, gopacket.DecodeOptions{NoCopy: true})
			s.segment(p, p.Layer(layers.LayerTypeTCP).(*layers.TCP), from, time.Time{}, use)
		}
	}
	if len(s.all) > maxStreams || s.held > maxStreamsHeld {
		t.Errorf("%d streams, %d bytes", len(s.all), s.held)
	}
}
