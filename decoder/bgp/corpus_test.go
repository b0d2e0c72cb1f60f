package bgp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/metranova/flow-collector/decoder/route"
)

// corpus has captures of real routers, each with what pmacct's own tests expect of them. It is no part of the project.
const corpus = "../../../shared/corpus"

// streams are the payloads of a capture to BGP's port, put together by source.
func streams(t *testing.T, path string) map[string][]byte {
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
		if tcp, ok := p.TransportLayer().(*layers.TCP); ok && tcp.DstPort == 179 {
			key := p.NetworkLayer().NetworkFlow().Src().String() + " " + tcp.SrcPort.String()
			all[key] = append(all[key], tcp.Payload...)
		}
	}
}

// logged is a route as pmacct logs it. Lists are texts with spaces in some tests, and null where they are empty.
type logged struct {
	LogType   string `json:"log_type"`
	AFI, SAFI int
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

func words(v any) string {
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

// String leaves out whether a next hop is IPv4 or IPv4-mapped: a route here does not tell.
func (l *logged) String() string {
	return fmt.Sprintf("%d/%d %s rd %s via %s path %s id %s comms %s ecomms %s lcomms %s origin %s pref %s med %s",
		l.AFI, l.SAFI,
		l.Prefix, l.RD, strings.TrimPrefix(l.NextHop, "::ffff:"), words(l.Path), words(l.PathID), words(l.Comms),
		words(l.Ecomms), words(l.Lcomms), l.Origin,
		words(l.LocalPref), words(l.MED))
}

func expected(t *testing.T, paths []string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for decoder := json.NewDecoder(bytes.NewReader(text)); decoder.More(); {
			var l logged
			if err := decoder.Decode(&l); err != nil {
				t.Fatal(path, err)
			}
			if l.LogType == "update" {
				all[l.String()] = true
			}
		}
	}
	return all
}

// loggedOf is a change as pmacct logs it.
func loggedOf(c *route.Change, a *route.Attributes) *logged {
	afi, safi := Identifiers(route.Family{Class: c.Class, V6: c.Prefix.V6})
	l := &logged{AFI: int(afi), SAFI: int(safi), Prefix: c.Prefix.String(), NextHop: a.NextHop.String(),
		Path: string(route.AppendPath(nil, a.Path, ' ')), Origin: "ieu"[a.Origin : a.Origin+1]}
	if c.RD != 0 {
		l.RD = c.RD.String()
	}
	if c.PathID != 0 {
		l.PathID = c.PathID
	}
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
			text = "?" // which is all that pmacct says
		}
		texts[1] = append(texts[1], text)
	}
	for _, x := range a.Large {
		texts[2] = append(texts[2], string(route.AppendLarge(nil, x)))
	}
	l.Comms, l.Ecomms, l.Lcomms = strings.Join(texts[0], " "), strings.Join(texts[1], " "), strings.Join(texts[2], " ")
	return l
}

// The routes of real routers are those that pmacct's tests expect.
func TestCorpus(t *testing.T) {
	captures, _ := filepath.Glob(corpus + "/bgp-*/capture.pcap")
	if len(captures) == 0 {
		t.Skip("the captures are not here: ", corpus)
	}
	for _, path := range captures {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			outputs, _ := filepath.Glob(dir + "/origin/output-bgp-0*.json")
			want, got := expected(t, outputs), map[string]bool{}
			reasons := [Reasons]uint64{}
			for from, b := range streams(t, path) {
				var w *Walker
				for len(b) > 0 {
					length, kind, err := Header(b, true)
					if err != nil {
						t.Fatalf("%s: %v", from, err)
					}
					if length > len(b) {
						t.Logf("%s: the capture ends within a message of %d bytes, %d are there", from, length, len(b))
						break
					}
					body := b[HeaderBytes:length]
					b = b[length:]
					switch kind {
					case OpenType:
						open, err := ParseOpen(body)
						if err != nil {
							t.Fatalf("%s: OPEN: %v", from, err)
						}
						answer := open.Answer(0, 1, 90, 120)
						w = NewWalker(Agreed(&answer, &open), hasher)
					case UpdateType:
						var batch route.Batch
						if err := w.Update(body, &batch); err != nil {
							t.Fatalf("%s: UPDATE %x: %v", from, body, err)
						}
						for i := range batch.Changes {
							c := &batch.Changes[i]
							var a route.Attributes
							if c.Bundle == route.Withdrawn {
								continue
							}
							if err := Decode(batch.Bundles[c.Bundle].Data, &a); err != nil {
								t.Fatal(err)
							}
							got[loggedOf(c, &a).String()] = true
						}
					}
				}
				for r, n := range w.Counts {
					reasons[r] += n
				}
			}
			t.Logf("%d routes, reasons %v", len(got), reasons)
			if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); diff != "" {
				t.Errorf("pmacct (-), read (+):\n%.6000s", diff)
			}
		})
	}
}
