package routing

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/route"
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
