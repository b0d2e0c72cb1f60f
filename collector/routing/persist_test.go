package routing

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/decoder/bmp"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich/rib"
)

// Routes outlive a restart, as those of sessions that have ended: the next session takes over and its End-of-RIB
// removes what is gone.
func TestRestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rib", "routes")
	start := func() *Station {
		t.Helper()
		return monitoringFrom(t, Options{File: file})
	}
	s := start()
	reader := s.RIB().NewReader()
	x := connect(t, s, "127.0.0.2", local("192.0.2.2"))
	x.announce(7, "10.0.0.0/8", "11.0.0.0/8")
	m := report(t, s, "127.0.0.3", "router3")
	loc := peerOf("", 0, 0)
	loc.ID = 0xc0000203
	m.up(loc, "0.0.0.0", "192.0.2.3")
	m.route(loc, 8, 100, "12.0.0.0/8", "13.0.0.0/8")
	expect(t, s, reader, "127.0.0.2", map[string]int{"10.1.2.3": 7, "11.1.2.3": 7})
	expect(t, s, reader, "127.0.0.3", map[string]int{"12.1.2.3": 8, "13.1.2.3": 8})
	s.Close()

	s = start()
	reader = s.RIB().NewReader()
	for _, exporter := range []string{"127.0.0.2", "192.0.2.2"} {
		expect(t, s, reader, exporter, map[string]int{"10.1.2.3": 7, "11.1.2.3": 7})
	}
	for _, exporter := range []string{"127.0.0.3", "192.0.2.3"} {
		expect(t, s, reader, exporter, map[string]int{"12.1.2.3": 8, "13.1.2.3": 8})
	}
	eventually(t, func() string {
		all := s.Stats()
		if len(all.Sessions) != 1 || len(all.BMP.Sessions) != 1 || all.Sessions[0].Up || all.BMP.Sessions[0].Up ||
			all.Sessions[0].Why != savedWhy || all.BMP.Sessions[0].Why != savedWhy ||
			all.Sessions[0].Until.Before(time.Now()) || all.Sessions[0].Routes[route.Family{}.Index()] != 2 {
			return fmt.Sprintf("%+v", all)
		}
		return ""
	})
	x = connect(t, s, "127.0.0.2", local("192.0.2.2"))
	x.announce(9, "10.0.0.0/8")
	x.complete()
	expect(t, s, reader, "127.0.0.2", map[string]int{"10.1.2.3": 9, "11.1.2.3": -1})
	m = report(t, s, "127.0.0.3", "router3")
	m.up(loc, "0.0.0.0", "192.0.2.3")
	m.route(loc, 10, 100, "12.0.0.0/8")
	m.complete(loc)
	expect(t, s, reader, "127.0.0.3", map[string]int{"12.1.2.3": 10, "13.1.2.3": -1})
	s.Close()

	// A damaged file is no reason not to start, and nothing of it is used.
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data[:len(data)-3], 0o600); err != nil {
		t.Fatal(err)
	}
	s = start()
	reader = s.RIB().NewReader()
	connect(t, s, "127.0.0.4", local("192.0.2.4")).announce(1, "10.0.0.0/8")
	expect(t, s, reader, "127.0.0.4", map[string]int{"10.1.2.3": 1})
	expect(t, s, reader, "127.0.0.2", map[string]int{"10.1.2.3": -1})
	if n := len(s.Stats().Sessions); n != 1 {
		t.Errorf("%d sessions", n)
	}
	s.Close()
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "*")); len(left) != 1 {
		t.Errorf("files %v", left)
	}
}

// Routes are saved while the station runs, for a restart without a stop.
func TestRestart_killed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "routes")
	s := open(t, Options{File: file, SaveEvery: 20 * time.Millisecond})
	reader := s.RIB().NewReader()
	x := connect(t, s, "127.0.0.2", local("192.0.2.2"))
	x.announce(7, "10.0.0.0/8")
	expect(t, s, reader, "127.0.0.2", map[string]int{"10.1.2.3": 7})
	started := time.Now().Add(2 * time.Second) // saved times are whole seconds
	eventually(t, func() string {
		if s.Stats().Saved.Before(started) {
			return "the routes are not saved"
		}
		return ""
	})
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "routes")
	if err := os.WriteFile(copied, data, 0o600); err != nil {
		t.Fatal(err)
	}
	other := open(t, Options{File: copied})
	expect(t, other, other.RIB().NewReader(), "127.0.0.2", map[string]int{"10.1.2.3": 7})
}

// Routes of routers that may no longer connect are not used after a restart.
func TestRestart_allowed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "routes")
	s := monitoringFrom(t, Options{File: file})
	reader := s.RIB().NewReader()
	connect(t, s, "127.0.0.2", local("192.0.2.2")).announce(7, "10.0.0.0/8")
	m := report(t, s, "127.0.0.3", "router3")
	loc := peerOf("", 0, 0)
	loc.ID = 0xc0000203
	m.up(loc, "0.0.0.0", "192.0.2.3")
	m.route(loc, 8, 100, "12.0.0.0/8")
	expect(t, s, reader, "127.0.0.2", map[string]int{"10.1.2.3": 7})
	expect(t, s, reader, "127.0.0.3", map[string]int{"12.1.2.3": 8})
	s.Close()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	other := []netip.Prefix{netip.MustParsePrefix("127.0.0.4/32")}
	for name, c := range map[string]struct {
		options  Options
		bgp, bmp int
	}{
		"allowed":          {Options{}, 7, 8},
		"not any more":     {Options{Neighbors: other, BMP: BMPOptions{Allowed: other}}, -1, -1},
		"connected to":     {Options{BMP: BMPOptions{Allowed: other, Connect: []string{"127.0.0.3:1"}}}, 7, 8},
		"another address":  {Options{BMP: BMPOptions{Allowed: other, Connect: []string{"127.0.0.9:1"}}}, 7, -1},
		"a name connected": {Options{BMP: BMPOptions{Allowed: other, Connect: []string{"router.invalid:1"}}}, 7, 8},
	} {
		t.Run(name, func(t *testing.T) {
			c.options.File = filepath.Join(t.TempDir(), "routes") // the station saves its own routes there
			if err := os.WriteFile(c.options.File, data, 0o600); err != nil {
				t.Fatal(err)
			}
			s := monitoringFrom(t, c.options)
			reader := s.RIB().NewReader()
			s.run(func() {}) // the file is loaded before anything else is done
			expect(t, s, reader, "127.0.0.2", map[string]int{"10.1.2.3": c.bgp})
			expect(t, s, reader, "127.0.0.3", map[string]int{"12.1.2.3": c.bmp})
		})
	}
}

// FuzzSavedSource reads anything as the description of a source in a file of saved routes: within bounds, and what is
// accepted is described by the same text from then on.
func FuzzSavedSource(f *testing.F) {
	for _, text := range []string{
		`{"bgp":{"address":"127.0.0.2","id":3221225986,"as":64500}}`,
		`{"bgp":{"address":"::ffff:127.0.0.2","id":1,"as":0}}` + "\n" + `{"bgp":{"address":"127.0.0.2","id":1}}`,
		`{"bmp":{"address":"127.0.0.3","name":"router3","description":"a router","as":64500,"ids":[3221225987,0],` +
			`"type":3,"rd":0,"peer":"0.0.0.0","peer_id":3221225987,"view":2}}`,
		`{"bmp":{"address":"127.0.0.3","name":"\ufffd","type":255,"rd":18446744073709551615,"peer":"fe80::1%eth0"}}`,
		`{"bmp":{"address":"127.0.0.3","peer":""}}`, `{"bmp":{"address":"127.0.0.3","view":200}}`,
		`{"bgp":null,"bmp":null}`, `{}`, `[`, ``,
	} {
		f.Add([]byte(text))
	}
	own := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::/0")}
	s, err := Open(Options{Neighbors: own, Log: zap.NewNop(), KeepStale: time.Hour,
		BMP: BMPOptions{Allowed: own, KeepStale: time.Hour}, RIB: rib.Options{MaxMemory: rib.MinMemory}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		s.Abort()
		s.Free()
	})
	f.Fuzz(func(t *testing.T, data []byte) {
		var sources []*rib.Source
		var first, second []rib.Description
		s.run(func() {
			for text := range bytes.Lines(data) {
				if source := s.savedSource(text); source != nil {
					sources = append(sources, source)
				}
			}
			s.updateAddresses()
			first = s.descriptions()
			for _, x := range sources {
				x.Remove()
			}
			s.forgetAll()
		})
		if len(first) != len(sources) {
			t.Errorf("%d sources, %d descriptions", len(sources), len(first))
		}
		s.run(func() {
			for _, d := range first {
				if source := s.savedSource(d.Text); source != nil {
					defer source.Remove()
				}
			}
			second = s.descriptions()
			s.forgetAll()
		})
		texts := func(all []rib.Description) (lines []string) {
			for _, d := range all {
				lines = append(lines, string(d.Text))
			}
			slices.Sort(lines)
			return lines
		}
		if a, b := texts(first), texts(second); !slices.Equal(a, b) {
			t.Errorf("described as %q, then as %q", a, b)
		}
		s.run(func() {
			s.rib.Work(1 << 30)
			s.rib.Publish()
		})
		if st := s.rib.Stats(); st.Routes != 0 || len(s.rib.Routers()) > 1<<16 {
			t.Fatalf("left: %+v", st)
		}
	})
}

// A saved router with thousands of tables is shown once they are all there, not with each: that looks at all tables.
func TestRestart_manyTables(t *testing.T) {
	s := monitoringFrom(t, Options{})
	address := netip.MustParseAddr("127.0.0.2")
	s.run(func() {
		for rd := range uint64(3) {
			text, err := json.Marshal(savedSource{BMP: &savedView{Address: address, Name: "edge", Type: bmp.RDPeer,
				RD: rd + 1, Peer: netip.MustParseAddr("192.0.2.1"), View: bmp.InPre}})
			if err != nil || s.savedSource(text) == nil {
				t.Errorf("%s is not taken, %v", text, err)
			}
		}
		m := s.bmpRouters[bmpRouterKey{address, "edge"}]
		if len(m.tables) != 3 || m.shown.Load() != nil {
			t.Errorf("%d tables, shown before the last one: %t", len(m.tables), m.shown.Load() != nil)
		}
		s.showSaved()
	})
	if all := s.Stats().BMP.Sessions; len(all) != 1 || all[0].Name != "edge" || !all[0].Restored {
		t.Errorf("%+v", all)
	}
}
