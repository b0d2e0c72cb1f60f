// Package routetest lets tests compare routes with those that pmacct logged for the same capture.
package routetest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/metranova/flow-collector/decoder/route"
)

// Corpus is a folder of captures of real routers, with what pmacct's own tests expect for each, relative to a folder
// of decoder. It is not part of the project; tests that need it skip without it.
const Corpus = "../../../shared/corpus"

// Streams returns the bytes that a capture has for a TCP port, by the address and port that sent them.
func Streams(t *testing.T, path string, port layers.TCPPort) map[string][]byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for {
		data, _, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		p := gopacket.NewPacket(data, r.LinkType(), gopacket.Default)
		if tcp, ok := p.TransportLayer().(*layers.TCP); ok && tcp.DstPort == port {
			key := p.NetworkLayer().NetworkFlow().Src().String() + " " + tcp.SrcPort.String()
			all[key] = append(all[key], tcp.Payload...)
		}
	}
}

// Logged is a route as pmacct logs it in JSON. A list can be a text with spaces between the values, and null if empty.
type Logged struct {
	AFI, SAFI any
	Prefix    string `json:"ip_prefix"`
	RD        string
	NextHop   string `json:"bgp_nexthop"`
	PathID    any    `json:"as_path_id"`
	Path      any    `json:"as_path"`
	Comms     any
	Ecomms    any
	Lcomms    any
	Origin    string
	LocalPref any `json:"local_pref"`
	MED       any
}

// String returns the fields to compare. It omits the RD, and writes IPv4-mapped next hops as IPv4, because Attributes
// does not distinguish them.
func (l *Logged) String() string {
	return fmt.Sprintf("%s/%s %s via %s path %s id %s comms %s ecomms %s lcomms %s origin %s pref %s med %s",
		Words(l.AFI), Words(l.SAFI), l.Prefix, strings.TrimPrefix(l.NextHop, "::ffff:"), Words(l.Path), Words(l.PathID),
		Words(l.Comms), Words(l.Ecomms), Words(l.Lcomms), l.Origin, Words(l.LocalPref), Words(l.MED))
}

// Fill sets the fields of l from attributes, in pmacct's notation.
func (l *Logged) Fill(a *route.Attributes) {
	l.NextHop, l.Origin = a.NextHop.String(), "ieu"[a.Origin:a.Origin+1]
	l.Path = string(route.AppendPath(nil, a.Path, ' '))
	if a.HasLocalPref {
		l.LocalPref = a.LocalPref
	}
	if a.HasMED {
		l.MED = a.MED
	}
	var texts [3][]string
	for _, x := range a.Communities {
		text := route.WellKnown(x)
		if text == "" {
			text = string(route.AppendCommunity(nil, x))
		}
		texts[0] = append(texts[0], text)
	}
	for _, x := range a.Extended {
		text := string(route.AppendExtended(nil, x))
		if !strings.HasPrefix(text, "RT:") && !strings.HasPrefix(text, "SoO:") {
			text = "?" // pmacct does not write the others
		}
		texts[1] = append(texts[1], text)
	}
	for _, x := range a.Large {
		texts[2] = append(texts[2], string(route.AppendLarge(nil, x)))
	}
	l.Comms, l.Ecomms, l.Lcomms = strings.Join(texts[0], " "), strings.Join(texts[1], " "), strings.Join(texts[2], " ")
}

// Words returns a JSON value as a text: the values of a list with spaces between them, "" for null.
func Words(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []any:
		var all []string
		for _, x := range v {
			all = append(all, fmt.Sprint(x))
		}
		return strings.Join(all, " ")
	}
	return fmt.Sprint(v)
}
