package netflow

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/flow"
)

// overRestart is a state as it comes back from the file.
func overRestart(t *testing.T, d *Decoder) Saved {
	t.Helper()
	var file bytes.Buffer
	if err := WriteState(&file, d.State()); err != nil {
		t.Fatal(err)
	}
	state, err := ReadState(&file)
	if err != nil {
		t.Fatal(err)
	}
	return NewSaved(state)
}

func stateItems() []item {
	return []item{el(8, ip("198.51.100.1")), el(12, ip("203.0.113.9")), el(1, u32(1000)), el(2, u32(3)), el(48, u8(7)),
		el(10, u32(5))}
}

func TestState_templatesSamplingAndNamesOutliveARestart(t *testing.T) {
	before := newLab(t, Options{})
	sampler := []item{el(48, u8(7)), el(34, u32(512))}
	names := []item{el(10, u32(5)), el(82, text("et-0/0/5"))}
	before.send(ipfix(header{exportS: exportS, domain: 3},
		set(2, templateOf(300, stateItems()...)),
		set(3, optionsIPFIX(301, 1, sampler...), optionsIPFIX(302, 1, names...)),
		set(301, dataOf(sampler...)), set(302, dataOf(names...))))
	after := newLab(t, Options{Saved: overRestart(t, before.d)})
	after.send(ipfix(header{exportS: exportS, domain: 3}, set(300, dataOf(stateItems()...))))
	if len(after.got) != 1 {
		t.Fatalf("%d records of data whose template came before the restart, want 1", len(after.got))
	}
	r := after.got[0]
	if r.Bytes != 1000 || r.SamplingRate != 512 || r.SamplingSource != flow.SamplingSelector {
		t.Errorf("bytes %d, sampling 1:%d by %s", r.Bytes, r.SamplingRate, r.SamplingSource)
	}
	if r.Names == nil || r.Names.Interface[5].Name != "et-0/0/5" {
		t.Errorf("names: %+v", r.Names)
	}
}

func TestState_isNotUsedWhere(t *testing.T) {
	before := newLab(t, Options{})
	before.send(v9(header{exportS: exportS, uptime: 5_000_000, domain: 3}, set(0, templateOf(300, stateItems()...))))
	saved := overRestart(t, before.d)
	for _, test := range []struct {
		name    string
		options Options
		header  header
		later   time.Duration
		want    int
	}{
		{"the exporter still runs", Options{}, header{exportS: exportS + 60, uptime: 5_060_000, domain: 3}, time.Minute,
			1},
		{"the exporter began anew since", Options{}, header{exportS: exportS + 600, uptime: 5_000, domain: 3},
			10 * time.Minute, 0},
		{"it is another observation domain", Options{}, header{exportS: exportS, uptime: 5_000_000, domain: 4}, 0, 0},
		{"it has expired", Options{TemplateExpiry: time.Hour},
			header{exportS: exportS + 7200, uptime: 12_200_000, domain: 3}, 2 * time.Hour, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.options.Saved = saved
			after := newLab(t, test.options)
			after.received += int64(test.later)
			after.send(v9(test.header, set(300, dataOf(stateItems()...))))
			if len(after.got) != test.want {
				t.Errorf("%d records, want %d", len(after.got), test.want)
			}
		})
	}
}

func TestReadState_bad(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":         "nonsense",
		"cut":             `{"version":1,"sources":[{"address":"192.0.2.1"`,
		"a later version": `{"version":3,"sources":[]}`,
		"no version":      `{"sources":[]}`,
		"a wrong type":    `{"version":1,"sources":[{"address":17}]}`,
	} {
		if _, err := ReadState(strings.NewReader(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A file that somebody has tampered with gives no template that could not have come by wire.
func TestState_hostileFile(t *testing.T) {
	state, err := ReadState(strings.NewReader(`{"version":1,"sources":[{"address":"192.0.2.1",` +
		`"observation_domains":[{"protocol":"ipfix","domain":3,"templates":[
		{"id":5,"seen":9000000000000000000,"fields":[{"id":1,"length":4}]},
		{"id":300,"seen":9000000000000000000,"fields":[]},
		{"id":301,"seen":9000000000000000000,"fields":[{"id":1,"length":0}]}]}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t, Options{Saved: NewSaved(state), HoldFor: -1})
	for _, id := range []uint16{300, 301} {
		l.send(ipfix(header{exportS: exportS, domain: 3}, set(id, u32(1), u32(2))))
	}
	if len(l.got) != 0 {
		t.Errorf("%d records", len(l.got))
	}
}

func FuzzReadState(f *testing.F) {
	l := newLab(f, Options{})
	l.send(v9(header{exportS: exportS, domain: 3}, set(0, templateOf(300, stateItems()...))))
	var file bytes.Buffer
	if err := WriteState(&file, l.d.State()); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Add([]byte(
		`{"version":1,"sources":[{"address":"192.0.2.1","observation_domains":[{"protocol":"netflow9","domain":3}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		state, err := ReadState(bytes.NewReader(data))
		if err != nil {
			return
		}
		after := newLab(t, Options{Saved: NewSaved(state)})
		after.send(v9(header{exportS: exportS, domain: 3}, set(300, dataOf(stateItems()...))))
	})
}

// What is written can be read, whatever the exporters said: the file of a flood has its bound, and what gave data comes
// first.
func TestWriteState_keepsToWhatReadStateTakes(t *testing.T) {
	const hostile = "\x00\xff\x01<>&\u2028"
	state := State{Version: StateVersion}
	for n := range 40 {
		src := SourceState{Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}),
			Interfaces: map[uint32]flow.InterfaceName{}, Proven: n == 39}
		for i := range uint32(20_000) {
			src.Interfaces[i] = flow.InterfaceName{Name: strings.Repeat(hostile, 20),
				Description: strings.Repeat(hostile, 20)}
		}
		domain := DomainState{Protocol: "ipfix"}
		for i := range uint16(1000) {
			domain.Templates = append(domain.Templates,
				TemplateState{ID: 256 + i, Fields: slices.Repeat([]field{{ID: 1, Length: 4}}, 20)})
		}
		src.Domains = []DomainState{domain}
		state.Sources = append(state.Sources, src)
	}
	var file bytes.Buffer
	var leftOut LeftOut
	if err := WriteState(&file, state); !errors.As(err, &leftOut) {
		t.Fatalf("error %v, want that lines are left out", err)
	}
	if file.Len() > maxStateBytes {
		t.Errorf("%d bytes are written", file.Len())
	}
	got, err := ReadState(&file)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Sources) != 40 || got.Sources[0].Address != state.Sources[39].Address {
		t.Errorf("%d sources, first %v; want all 40, that which gave data first", len(got.Sources),
			got.Sources[0].Address)
	}
	for _, src := range got.Sources {
		if n := len(src.Domains[0].Templates); n != 1000 {
			t.Errorf("%d templates of %s", n, src.Address)
		}
	}
}

func TestReadState_usesWhatCameBeforeDamage(t *testing.T) {
	var file bytes.Buffer
	err := WriteState(&file,
		State{Sources: []SourceState{{Address: netip.MustParseAddr("192.0.2.1")},
			{Address: netip.MustParseAddr("192.0.2.2")}}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadState(bytes.NewReader(file.Bytes()[:file.Len()-5]))
	if err == nil || len(got.Sources) != 1 {
		t.Errorf("%d sources and error %v of a file that was cut in its second source", len(got.Sources), err)
	}
	if _, err := ReadState(strings.NewReader(`{"version":99}`)); !errors.As(err, new(VersionError)) {
		t.Errorf("error %v of a later version", err)
	}
}

// What did not change is not handed over again, and much is handed over in parts.
func TestSave_handsOverWhatChanged(t *testing.T) {
	c := newCrowd(t, Options{}, 256)
	for n := range 100 {
		c.from(n).good(true)
	}
	c.d.BeginSave()
	calls, sources := 0, 0
	for more := true; more; calls++ {
		var state State
		state, more = c.d.Save(20)
		sources += len(state.Sources)
	}
	if sources != 100 || calls < 10 {
		t.Errorf("%d sources in %d calls", sources, calls)
	}
	c.from(7).good(false)
	c.d.BeginSave()
	if state, _ := c.d.Save(1000); len(state.Sources) != 0 {
		t.Errorf("%d sources changed by data alone", len(state.Sources))
	}
	c.from(7).good(true)
	c.d.BeginSave()
	if state, _ := c.d.Save(1000); len(state.Sources) != 1 {
		t.Errorf("%d sources changed by a template of one", len(state.Sources))
	}
}
