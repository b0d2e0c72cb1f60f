package bgp

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/decoder/route/routetest"
)

// logged is a line of pmacct's log about a route.
type logged struct {
	LogType string `json:"log_type"`
	routetest.Logged
}

func (l *logged) String() string { return "rd " + l.RD + " " + l.Logged.String() }

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
	var l logged
	l.AFI, l.SAFI = Identifiers(route.Family{Class: c.Class, V6: c.Prefix.V6})
	l.Prefix = c.Prefix.String()
	if c.RD != 0 {
		l.RD = c.RD.String()
	}
	if c.PathID != 0 {
		l.PathID = c.PathID
	}
	l.Fill(a)
	return &l
}

// The routes of real routers are those that pmacct's tests expect.
func TestCorpus(t *testing.T) {
	captures, _ := filepath.Glob(routetest.Corpus + "/bgp-*/capture.pcap")
	if len(captures) == 0 {
		t.Skip("the captures are not here: ", routetest.Corpus)
	}
	for _, path := range captures {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			outputs, _ := filepath.Glob(dir + "/origin/output-bgp-0*.json")
			want, got := expected(t, outputs), map[string]bool{}
			reasons := [Reasons]uint64{}
			for from, b := range routetest.Streams(t, path, 179) {
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
