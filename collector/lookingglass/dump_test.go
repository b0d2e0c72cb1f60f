package lookingglass

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/collector/routing"
	"github.com/metranova/flow-collector/decoder/mrt"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich/rib"
)

// manyRoutes is an MRT file with routes of all classes and both families, some with path identifiers.
func manyRoutes(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	w, err := mrt.NewWriter(&b, time.Unix(1, 0), 1, "", []mrt.Peer{
		{ID: 1, Address: addr("192.0.2.1"), AS: 64500}, {ID: 2, Address: addr("2001:db8::2"), AS: 4200000001}})
	if err != nil {
		t.Fatal(err)
	}
	one := &route.Attributes{Path: []route.Segment{{Kind: route.Sequence, AS: []uint32{64500, 64500, 4200000000}},
		{Kind: route.Set, AS: []uint32{64510, 64511}}}, NextHop: addr("192.0.2.9"), HasLocalPref: true, LocalPref: 120,
		HasMED: true, MED: 3, Communities: []uint32{64500<<16 | 5}, Extended: []uint64{0x0002fbf400000007},
		Large: []route.Large{{Global: 1, Data1: 2, Data2: 3}}}
	six := *one
	six.NextHop, six.Origin = addr("2001:db8::9"), route.Incomplete
	bare := &route.Attributes{NextHop: addr("192.0.2.8")}
	write := func(class route.Class, rd route.RD, prefix string, all ...mrt.Entry) {
		t.Helper()
		if err := w.Write(class, rd, route.PrefixFrom(netip.MustParsePrefix(prefix)), all); err != nil {
			t.Fatal(err)
		}
	}
	write(route.Unicast, 0, "0.0.0.0/0", mrt.Entry{Attributes: bare})
	write(route.Unicast, 0, "10.0.0.0/8", mrt.Entry{Attributes: one}, mrt.Entry{Peer: 1, Attributes: bare})
	write(route.Unicast, 0, "10.1.2.128/25", mrt.Entry{Attributes: one, PathID: 7},
		mrt.Entry{Attributes: bare, PathID: 8}, mrt.Entry{Peer: 1, Attributes: bare, PathID: 7})
	write(route.Unicast, 0, "2001:db8::/32", mrt.Entry{Attributes: &six})
	write(route.Unicast, 0, "2001:db8:1::/48", mrt.Entry{Attributes: &six, PathID: 9})
	write(route.Labelled, 0, "10.2.0.0/16", mrt.Entry{Attributes: one})
	write(route.VPN, 0xfbf400000007, "10.3.0.0/16", mrt.Entry{Attributes: one})
	write(route.VPN, 0xfbf400000008, "10.3.0.0/16", mrt.Entry{Peer: 1, Attributes: bare})
	for n := range uint32(600) { // more than a page of slots
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], 0xac100000|n<<8)
		x := *one
		x.MED = n % 50
		write(route.Unicast, 0, netip.PrefixFrom(netip.AddrFrom4(a), 24).String(), mrt.Entry{Attributes: &x})
	}
	path := filepath.Join(t.TempDir(), "routes.mrt")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// loaded is a looking glass of an MRT file.
func loaded(t *testing.T, file string, routes int64) *Glass {
	t.Helper()
	g := glass(t, routing.Options{MRT: []routing.MRTFile{{Name: "file", File: file}}})
	eventually(t, func() string {
		if s := g.Station.Stats(); s.RIB.Routes != routes || s.MRT[0].Loaded.IsZero() || s.MRT[0].Bad > 0 {
			return fmt.Sprintf("%+v", s)
		}
		return ""
	})
	return g
}

// entriesOf are all routes of a glass as text.
func entriesOf(g *Glass) (all []string) {
	reader := g.Station.RIB().NewReader()
	defer reader.Close()
	routers, _ := g.routers("")
	for _, group := range tableGroups(routers) {
		for _, v6 := range []bool{false, true} {
			walk := reader.Walk(group, v6)
			for more := true; more; {
				reader.Enter()
				more, _ = walk.Next(func(p route.Prefix, entries []rib.Entry) error {
					for i := range entries {
						r := newRoute(&entries[i], nil)
						r.File, r.Since = "", time.Time{}
						text, _ := json.Marshal(r)
						all = append(all, string(text))
					}
					return nil
				})
				reader.Leave()
			}
		}
	}
	slices.Sort(all)
	return all
}

// What is dumped is read back as it was: by us, and by bgpdump where it is installed.
func TestDump_roundTrip(t *testing.T) {
	const routes = 1 + 2 + 3 + 1 + 1 + 1 + 1 + 1 + 600
	g := loaded(t, manyRoutes(t), routes)
	path := filepath.Join(t.TempDir(), "again.mrt")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	d, err := g.Dump(f, "")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil || d != (Dumped{Peers: 2, Routes: routes}) {
		t.Fatalf("%+v, %v", d, err)
	}
	want, got := entriesOf(g), entriesOf(loaded(t, path, routes))
	if diff := cmp.Diff(want, got); diff != "" || len(want) != routes {
		t.Errorf("%d routes: %s", len(want), diff)
	}
	if _, err := g.Dump(io.Discard, "core9"); err == nil {
		t.Error("an unknown router is dumped")
	}
	bgpdump, err := exec.LookPath("bgpdump")
	if err != nil {
		t.Skip("bgpdump is not installed: only our own reader has read the dump")
	}
	out, err := exec.Command(bgpdump, "-m", path).CombinedOutput()
	if err != nil {
		t.Fatalf("bgpdump: %v: %s", err, out)
	}
	// bgpdump 1.6.2 reads unicast routes without path identifiers alone.
	for _, line := range []string{
		"|B|192.0.2.1|64500|10.0.0.0/8|64500 64500 4200000000 {64510,64511}|IGP|192.0.2.9|120|3|64500:5",
		"|B|2001:db8::2|4200000001|10.0.0.0/8||IGP|192.0.2.8|",
		"|2001:db8::/32|64500 64500 4200000000 {64510,64511}|INCOMPLETE|2001:db8::9|120|3|64500:5",
	} {
		if !strings.Contains(string(out), line) {
			t.Errorf("bgpdump does not say %s", line)
		}
	}
	if t.Failed() {
		t.Logf("bgpdump: %.2000s", out)
	}
}

// Look-ups and dumps beside a writer find whole routes. It is for the race detector, with which the routing table
// checks each read.
func TestLook_besideTheWriter(t *testing.T) {
	g := twoRouters(t)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := uint32(0); ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			var all []announcement
			for i := range uint32(50) {
				all = append(all, announcement{fmt.Sprintf("10.%d.0.0/16", i), 1 + n%3,
					route.Attributes{Path: sequence(64500+n%7, i+1), NextHop: addr("192.0.2.9"), HasMED: true, MED: n}})
			}
			c := speakOnly(t, g, "127.0.0.9", "192.0.2.9", 64500, all...)
			if c == nil {
				return
			}
			time.Sleep(time.Millisecond)
			_ = c.Close()
		}
	}()
	for n := range 300 {
		for _, r := range ask(t, g, fmt.Sprintf("address=10.%d.1.1&all=1", n%50)).Routes {
			if r.Router == "192.0.2.9" && !strings.HasSuffix(r.ASPath, fmt.Sprintf(" %d", n%50+1)) {
				t.Errorf("10.%d.0.0/16 has the path %s", n%50, r.ASPath)
			}
		}
		if n%10 == 0 {
			if _, err := g.Dump(io.Discard, ""); err != nil {
				t.Error(err)
			}
		}
	}
	close(stop)
	<-done
}
