package netflow

import (
	"bytes"
	"encoding/binary"
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

// FuzzState sends datagrams of many sources, lets time pass and restarts the collector. Whatever comes, the accounts
// are those of what is held, every bound is kept, and what is saved can be read.
func FuzzState(f *testing.F) {
	h := func(domain uint32) header { return header{exportS: exportS, uptime: testUptime, domain: domain} }
	templates := v9(h(1), set(0, templateOf(256, v4Flow()...)), set(256, dataOf(v4Flow()...)))
	other := v9(h(1), set(0, templateOf(256, el(8, ip("192.0.2.1")), el(1, u16(1)))))
	name := []item{el(2, u32(7)), el(82, text("eth0")), el(83, text("an uplink")), el(34, u32(10))}
	options := v9(h(1), set(1, optionsV9(300, 1, name...)), set(300, dataOf(name...)))
	early := ipfix(h(2), dataSet(300, 3))
	late := ipfix(h(2), set(2, templateOf(300, v4Flow()...)))
	many := ipfix(h(3), set(2, manyTemplates(40)))
	var seed []byte
	for n := range byte(20) {
		for i, p := range [][]byte{templates, options, early, many, other, late} {
			seed = append(seed, stateStep(n, byte(i%3), p)...)
		}
	}
	f.Add(seed)
	f.Add(slices.Concat(seed, stateStep(timePasses, 1, nil), stateStep(restart, 0, nil), seed))
	f.Add(slices.Concat(stateStep(1, 1, early), stateStep(2, 1, early), stateStep(timePasses, 90, nil),
		stateStep(1, 1, late)))
	f.Fuzz(func(t *testing.T, in []byte) {
		o := Options{
			MaxTemplates: 32, HoldBytes: 1 << 12, HeldBytes: 1 << 14, TemplateBytes: 1 << 15, NameBytes: 1 << 12,
			FlowsOnly: true,
		}
		table := exporter.NewTable(16)
		d := New(table, o)
		b := flow.NewBatch(func([]flow.Record) {})
		now := int64(received)
		for len(in) >= 4 {
			source, port, n := in[0], in[1], int(binary.BigEndian.Uint16(in[2:]))
			p := in[4:min(4+n, len(in))]
			in = in[4+len(p):]
			switch source {
			case timePasses:
				now += int64(port) * int64(time.Minute)
				d.Tick(now, b)
				table.Age(now)
			case restart:
				var file bytes.Buffer
				if err := WriteState(&file, d.State()); err != nil {
					t.Fatal(err)
				}
				state, err := ReadState(&file)
				if err != nil {
					t.Fatalf("what was written cannot be read: %v", err)
				}
				o.Saved = NewSaved(state)
				table = exporter.NewTable(16)
				d = New(table, o)
			default:
				if len(p) < 2 {
					continue
				}
				dg := &exporter.Datagram{
					Payload: p, Received: now,
					Source: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, source % 40}), uint16(port)),
				}
				switch binary.BigEndian.Uint16(p) {
				case 5:
					d.DecodeV5(dg, b)
				case 9:
					d.DecodeV9(dg, b)
				case 10:
					d.DecodeIPFIX(dg, b)
				}
			}
			checkMemory(t, d)
			if n := len(table.Streams()); n > 16+256 {
				t.Fatalf("%d streams", n)
			}
		}
	})
}
