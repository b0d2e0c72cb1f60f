package sflow

import (
	"encoding/binary"
	"encoding/json"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// A step of FuzzState's input is the source, the port, and a datagram behind its length in two bytes. Some sources
// stand for something else.
const (
	timePasses = 255 // as many minutes as the port says
	restart    = 254 // of the collector
)

func stateStep(source, port byte, datagram []byte) []byte {
	return slices.Concat([]byte{source, port}, u16(uint16(len(datagram))), datagram)
}

// workers are decoders that share agents, as those of a process do.
type workers struct {
	agents Agents
	all    [2]*Decoder
	tables [2]*exporter.Table
}

func startWorkers(saved []Binding) *workers {
	w := &workers{}
	w.agents.Restore(saved)
	for i := range w.all {
		w.tables[i] = exporter.NewTable(16)
		w.all[i] = New(w.tables[i], Options{Agents: &w.agents, Samplers: 64, MaxSamples: 100, MaxNumbers: 1000,
			Counters: func(*flow.InterfaceCounters) {}, Discards: func(*Discard) {}})
	}
	return w
}

// check checks that accounts are those of what is held, that every bound is kept, and that nothing of evicted streams
// is left.
func (w *workers) check(t *testing.T, restored int) {
	users := map[*binding]int{}
	for i, d := range w.all {
		if n := len(w.tables[i].Streams()); n > 16+256 {
			t.Fatalf("%d streams", n)
		}
		samplers := 0
		for key, a := range d.agents {
			users[a.binding]++
			samplers += len(a.samplers.all) + a.charged
			if _, owned := a.owner.agents[a]; !owned || d.sources[a.owner.addr] != a.owner || a.stream.Gone() ||
				a.key != key {
				t.Fatal("an agent is not where it belongs, or its stream was evicted")
			}
		}
		if used := d.room.Used(); used != samplers || d.room.Over() {
			t.Fatalf("%d samplers are held, %d are on the accounts", samplers, used)
		}
		owned := 0
		for _, src := range d.sources {
			owned += len(src.agents)
			if len(src.agents) == 0 {
				t.Fatal("a source without agents is kept")
			}
		}
		if owned != len(d.agents) {
			t.Fatalf("sources have %d agents, there are %d", owned, len(d.agents))
		}
	}
	if n := len(w.agents.bound); n > len(users)+restored {
		t.Fatalf("%d agents are bound, %d are used and %d were restored", n, len(users), restored)
	}
	for b, n := range users {
		if sources := len(*b.sources.Load()); b.users != n || sources == 0 || sources > maxSources {
			t.Fatalf("an agent of %d sources has %d users of %d", sources, b.users, n)
		}
	}
}

// FuzzState sends datagrams of many sources to two workers, lets time pass and restarts the collector. Whatever comes,
// the accounts are those of what is held, every bound is kept, and what is saved of agents can be read.
func FuzzState(f *testing.F) {
	of := func(agent string, subAgent, sequence, sampler uint32) []byte {
		h := plainHead
		h.sequence, h.source = sequence, sampler
		return datagramOf(head{agent: agent, subAgent: subAgent, sequence: sequence}, compact(h,
			headerRecord(headerEthernet, 1518, tcp4(100))), counterSampleOf(1, 7, ifCounters()), discardSample(1, 2))
	}
	var seed []byte
	for n := range byte(20) {
		for i, agent := range []string{agentAddress, "192.0.2.2", "2001:db8::1", "", "10.0.0.3"} {
			seed = append(seed, stateStep(n, byte(i), of(agent, uint32(i), uint32(n), uint32(n)*7+uint32(i)))...)
		}
	}
	minutes := func(n byte) []byte { return stateStep(timePasses, n, nil) }
	f.Add(seed)
	f.Add(slices.Concat(seed, minutes(2), seed, stateStep(restart, 0, nil), seed, minutes(90), seed))
	f.Add(slices.Concat(stateStep(1, 1, everything()), minutes(1), stateStep(2, 1, everything()), minutes(11),
		stateStep(2, 1, everything())))
	f.Add(slices.Concat(stateStep(1, 1, benchDatagram()), stateStep(2, 200, routedDatagram())))
	f.Fuzz(func(t *testing.T, in []byte) {
		w, restored := startWorkers(nil), 0
		batch := flow.NewBatch(func([]flow.Record) {})
		now := int64(received)
		for len(in) >= 4 {
			source, port, n := in[0], in[1], int(binary.BigEndian.Uint16(in[2:]))
			p := in[4:min(4+n, len(in))]
			in = in[4+len(p):]
			switch source {
			case timePasses:
				now += int64(port) * int64(time.Minute)
				for _, table := range w.tables {
					table.Age(now)
				}
			case restart:
				text, err := json.Marshal(w.agents.Bindings(now))
				if err != nil {
					t.Fatal(err)
				}
				var saved []Binding
				if err := json.Unmarshal(text, &saved); err != nil {
					t.Fatalf("what was written cannot be read: %v", err)
				}
				w = startWorkers(saved)
				if restored = len(w.agents.bound); restored != len(saved) {
					t.Fatalf("%d agents were saved, %d came back", len(saved), restored)
				}
			default:
				from := netip.AddrFrom4([4]byte{10, 0, 0, source % 40})
				w.all[port%2].Decode(&exporter.Datagram{
					Payload: p, Received: now, Source: netip.AddrPortFrom(from, uint16(port)),
				}, batch)
			}
			w.check(t, restored)
		}
	})
}
