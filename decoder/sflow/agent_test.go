package sflow

import (
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
)

// A source that states many agents with many samplers has no more than its part, and takes nothing from a device that
// behaves.
func TestSamplersAreSharedAmongSources(t *testing.T) {
	const total = 1000
	l := newLab(t, Options{Samplers: total})
	send := func(from string, agent netip.Addr, source uint32) {
		l.source = from
		a := at(1, 1)
		a.source, a.head.agent = source, agent.String()
		l.send(a.payload())
	}
	router := netip.MustParseAddr("192.0.2.1")
	for source := range uint32(50) {
		send("203.0.113.5", router, source)
	}
	for n := range uint32(20_000) {
		send("203.0.113.66", netip.AddrFrom4([4]byte{10, 0, byte(n / 200 >> 8), byte(n / 200)}), n%200)
	}
	for _, a := range l.d.agents {
		if a.key.Exporter == addr(router.String()) && len(a.samplers.all) != 50 {
			t.Errorf("%d of the router's 50 samplers are left", len(a.samplers.all))
		}
	}
	if n := l.d.room.Used(); n > total {
		t.Errorf("%d samplers are kept", n)
	}
	sum := 0
	for _, src := range l.d.sources {
		for a := range src.agents {
			sum += len(a.samplers.all)
		}
	}
	equal(t, "samplers on the accounts", l.d.room.Used(), sum)
}

// An agent that was heard for a while is bound to its sources: another speaks for itself, until they are silent for
// long.
func TestAgentsAreBoundToTheirSources(t *testing.T) {
	l := newLab(t, Options{})
	send := func(from string, sequence uint32) string {
		l.source = from
		records := l.send(datagramOf(head{agent: agentAddress, sequence: sequence}, plain(sequence)))
		if len(records) != 1 {
			t.Fatalf("%d records", len(records))
		}
		return records[0].Exporter.String()
	}
	const first, second, forger = "203.0.113.5", "203.0.113.6", "203.0.113.66"
	send(first, 1)
	equal(t, "exporter, another address of a new device", send(second, 2), agentAddress)
	for range 10 {
		l.later += int64(10 * time.Second)
		send(first, 3)
	}
	equal(t, "exporter, a source that came later", send(forger, 1_000_000), forger)
	equal(t, "exporter, the first source", send(first, 4), agentAddress)
	equal(t, "exporter, the second source", send(second, 5), agentAddress)
	for _, s := range l.table.Streams() {
		switch s.Key.Exporter {
		case addr(agentAddress):
			equal(t, "impostor", s.Impostor(), addr(forger))
			equal(t, "restarts", s.Restarts.Load(), 0)
		default:
			equal(t, "foreign datagrams", s.Failed(exporter.ForeignAgent), 1)
			equal(t, "victim", s.Victim(), addr(agentAddress))
		}
	}
	l.later += int64(11 * time.Minute)
	equal(t, "exporter, when the others were silent for 11 min", send(forger, 7), agentAddress)
}

func TestSamplesOfADatagramAreBounded(t *testing.T) {
	l := newLab(t, Options{MaxSamples: 140})
	var samples [][]byte
	for n := range uint32(500) {
		samples = append(samples, plain(n))
	}
	records := l.send(datagramOf(head{agent: agentAddress, sequence: 1}, samples...))
	equal(t, "records", len(records), 140)
	equal(t, "beyond", l.stream(0).Failed(exporter.RecordLimit), 360)
	equal(t, "trailing", l.stream(0).Failed(exporter.TrailingBytes), 0)
}

// Samples behind the size of the largest frame are not looked at, however few they are.
func TestSamplesBeyondAFrameAreNotRead(t *testing.T) {
	l := newLab(t, Options{MaxBytes: 1000})
	var samples [][]byte
	for n := range uint32(50) {
		samples = append(samples, plain(n))
	}
	size := len(datagramOf(head{agent: agentAddress}, samples[:2]...)) - len(datagramOf(head{agent: agentAddress},
		samples[0]))
	header := len(datagramOf(head{agent: agentAddress}, samples[0])) - size
	want := (1000 - header + size - 1) / size
	records := l.send(datagramOf(head{agent: agentAddress, sequence: 1}, samples...))
	equal(t, "records", len(records), want)
	equal(t, "beyond", l.stream(0).Failed(exporter.RecordLimit), uint64(50-want))
	equal(t, "trailing", l.stream(0).Failed(exporter.TrailingBytes), 0)
}

// AS paths and communities cost more than all else of a row: samples after too many of them are skipped.
func TestNumbersOfADatagramAreBounded(t *testing.T) {
	l := newLab(t, Options{MaxNumbers: 100})
	var samples [][]byte
	for range 10 {
		samples = append(samples, compact(plainHead, headerRecord(headerEthernet, 1518, tcp4()),
			gatewayRecord("192.0.2.9", 1, 2, 3, []segment{{2, make([]uint32, 20)}}, make([]uint32, 20), 100)))
	}
	records := l.send(datagramOf(head{agent: agentAddress, sequence: 1}, samples...))
	equal(t, "records", len(records), 3)
	equal(t, "beyond", l.stream(0).Failed(exporter.RecordLimit), 7)
}

// Workers share the bindings: a source that reaches another worker, or that states another sub-agent, is found too.
func TestAgentsAreBoundAcrossWorkers(t *testing.T) {
	agents := &Agents{}
	one, other := newLab(t, Options{Agents: agents}), newLab(t, Options{Agents: agents})
	send := func(l *lab, from string, subAgent uint32) string {
		l.source = from
		records := l.send(datagramOf(head{agent: agentAddress, subAgent: subAgent, sequence: 1}, plain(1)))
		if len(records) != 1 {
			t.Fatalf("%d records", len(records))
		}
		return records[0].Exporter.String()
	}
	const router, forger = "203.0.113.5", "203.0.113.66"
	send(one, router, 0)
	one.later, other.later = int64(2*time.Minute), int64(2*time.Minute)
	send(one, router, 0)
	equal(t, "exporter, a new sub-agent of the same source", send(one, router, 7), agentAddress)
	equal(t, "exporter, another worker", send(other, forger, 0), forger)
	equal(t, "exporter, another sub-agent", send(one, forger, 99), forger)
	for _, s := range one.table.Streams() {
		if s.Key.Exporter == addr(agentAddress) && s.Key.Domain == 7 {
			equal(t, "impostor", s.Impostor(), addr(forger))
			equal(t, "datagrams of it", s.Impostors.Load(), 2)
		}
	}
	equal(t, "exporter, the agent's own address", send(other, agentAddress, 0), agentAddress)
	for _, l := range []*lab{one, other} {
		for _, a := range slices.Collect(maps.Values(l.d.agents)) {
			a.StreamEvicted(a.stream)
		}
	}
	equal(t, "bindings that are left", len(agents.bound), 0)
}

func TestAgentOf(t *testing.T) {
	for name, c := range map[string]struct {
		datagram []byte
		want     string // "" for none
	}{
		"IPv4":            {datagramOf(head{agent: "192.0.2.7"}), "192.0.2.7"},
		"IPv6":            {datagramOf(head{agent: "2001:db8::7"}), "2001:db8::7"},
		"no address":      {[]byte{0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}, ""},
		"0.0.0.0":         {datagramOf(head{agent: "0.0.0.0"}), ""},
		"cut":             {datagramOf(head{agent: "192.0.2.7"})[:11], ""},
		"another version": {[]byte{0, 0, 0, 4, 0, 0, 0, 1, 192, 0, 2, 7}, ""},
		"NetFlow v5":      {[]byte{0, 5, 0, 1, 0, 0, 0, 1, 192, 0, 2, 7}, ""},
		"empty":           {nil, ""},
	} {
		got, ok := AgentOf(c.datagram)
		if text := got.String(); ok != (c.want != "") || ok && text != c.want {
			t.Errorf("%s: %s, %t, want %q", name, text, ok, c.want)
		}
	}
}

// The sources of an agent are the same after a restart: who sends first then does not get it.
func TestAgentsAreBoundAfterARestart(t *testing.T) {
	const first, second, forger = "203.0.113.5", "203.0.113.6", "203.0.113.66"
	send := func(l *lab, from string, sequence uint32) string {
		l.source = from
		records := l.send(datagramOf(head{agent: agentAddress, sequence: sequence}, plain(sequence)))
		if len(records) != 1 {
			t.Fatalf("%d records", len(records))
		}
		return records[0].Exporter.String()
	}
	before := &Agents{}
	l := newLab(t, Options{Agents: before})
	send(l, first, 1)
	send(l, second, 2)
	l.source = "203.0.113.7"
	l.send(datagramOf(head{agent: "192.0.2.99", sequence: 1})) // without a sample
	if n := len(before.Bindings(received + l.later)); n != 0 {
		t.Errorf("%d agents are saved that are not bound yet", n)
	}
	l.later += int64(2 * time.Minute)
	send(l, second, 3)
	l.later += int64(time.Minute)
	saved := before.Bindings(received + l.later)
	if len(saved) != 1 || saved[0].Agent.String() != agentAddress || len(saved[0].Sources) != 2 {
		t.Fatalf("saved is %+v", saved)
	}

	after := &Agents{}
	after.Restore(append([]Binding{{}, {Agent: saved[0].Agent}, {Agent: saved[0].Agent,
		Sources: []netip.Addr{{}}}}, saved...))
	if again := after.Bindings(received + l.later); !reflect.DeepEqual(again, saved) {
		t.Errorf("saved again is %+v, want %+v", again, saved)
	}
	later := l.later
	l = newLab(t, Options{Agents: after})
	l.later = later
	equal(t, "exporter, a forger that is the first", send(l, forger, 1), forger)
	equal(t, "exporter, the second source", send(l, second, 4), agentAddress)
	equal(t, "exporter, the first source", send(l, first, 5), agentAddress)

	after = &Agents{}
	after.Restore(saved)
	l = newLab(t, Options{Agents: after})
	l.later = later + int64(15*time.Minute)
	equal(t, "exporter, another source after a long time", send(l, forger, 1), agentAddress)
}
