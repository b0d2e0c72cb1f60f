package enrich

import (
	"strconv"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
)

func TestRouteDistinguisherText(t *testing.T) {
	for _, c := range []struct {
		name            string
		rd              [8]byte
		ingress, egress uint32
		want            string
	}{
		{"none (Q7)", [8]byte{}, 0, 0, ""},
		{"type 0: 16-bit AS, 32-bit number", [8]byte{0, 0, 0xfd, 0xe8, 0, 1, 0, 2}, 0, 0, "0:65000:65538"},
		{"type 1: IPv4 address, 16-bit number", [8]byte{0, 1, 192, 0, 2, 1, 1, 0}, 0, 0, "1:192.0.2.1:256"},
		{"type 2: 32-bit AS, 16-bit number", [8]byte{0, 2, 0, 1, 0, 0, 0, 7}, 0, 0, "2:65536:7"},
		{"largest of type 2", [8]byte{0, 2, 255, 255, 255, 255, 255, 255}, 0, 0, "2:4294967295:65535"},
		{"another type, as type 0", [8]byte{0, 9, 0, 1, 0, 0, 0, 2}, 0, 0, "9:1:2"},
		{"VRF in its place", [8]byte{}, 7, 8, "vrfid:7"},
		{"VRF of the egress", [8]byte{}, 0, 8, "vrfid:8"},
		{"before a VRF", [8]byte{0, 0, 0, 1, 0, 0, 0, 2}, 7, 0, "0:1:2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cache := rdCache{}
			for _, when := range []string{"first", "again"} {
				if got := cache.text(&flow.Record{MPLSRD: c.rd, IngressVRF: c.ingress,
					EgressVRF: c.egress}); got != c.want {
					t.Errorf("%s: got %q, want %q", when, got, c.want)
				}
			}
		})
	}
}

func TestRouteDistinguisherCacheIsBounded(t *testing.T) {
	cache := rdCache{}
	for n := uint32(1); n <= maxRDs+10; n++ {
		if got, want := cache.text(&flow.Record{IngressVRF: n}), "vrfid:"+strconv.Itoa(int(n)); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	if len(cache) > maxRDs {
		t.Errorf("holds %d, more than %d", len(cache), maxRDs)
	}
}

// TestProtocolNames lists pmacct's names a second time, by number, so that neither list can change unseen.
func TestProtocolNames(t *testing.T) {
	const named = "1 icmp 2 igmp 3 ggp 4 ipencap 6 tcp 8 egp 9 igp 17 udp 18 mux 41 ipv6 43 ipv6-route 44 ipv6-frag " +
		"46 rsvp 47 gre " +
		"50 esp 51 ah 55 mobile 56 tlsp 58 ipv6-icmp 59 ipv6-nonxt 60 ipv6-opts 80 iso-ip 83 vines 88 eigrp 89 ospf " +
		"91 larp " +
		"93 ax.25 94 ipip 98 encap 102 pnni 103 pim 108 IPcomp 111 ipx-in-ip 112 vrrp 115 l2tp 124 isis 132 sctp 133 fc"
	want := map[string]string{}
	words := strings.Fields(named)
	for i := 0; i < len(words); i += 2 {
		want[words[i]] = words[i+1]
	}
	if len(want) != 38 {
		t.Fatalf("%d names, want pmacct's 38", len(want))
	}
	e, s := New(Options{}), built(t, func(*Builder) {})
	for n := range 256 {
		text := strconv.Itoa(n)
		name, found := want[text]
		if !found {
			name = text
		}
		var row Row
		e.Enrich(s, &flow.Record{IPProtocol: uint8(n)}, &row)
		if row.Protocol != name || e.protocols.lower[n] != strings.ToLower(name) {
			t.Errorf("protocol %d: %q and %q, want %q", n, row.Protocol, e.protocols.lower[n], name)
		}
	}
}
