package service

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/metranova/flow-collector/collector/capture"
	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/sink/golden"
)

// liveExporter sends datagrams from an address of its own, twenty a second, until the test ends.
type liveExporter struct {
	source   string // an address of this host
	datagram func(n int) []byte
	drop     func(n int) bool // that one is lost on the way; nil: none is
}

// startExporters has exporters send to a collector. They end with the test.
func startExporters(t *testing.T, to string, exporters ...liveExporter) {
	t.Helper()
	end := make(chan struct{})
	var running sync.WaitGroup
	t.Cleanup(func() { close(end); running.Wait() })
	for _, x := range exporters {
		socket, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.ParseIP(x.source)},
			net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to)))
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			defer socket.Close()
			ticker := time.NewTicker(50 * time.Millisecond)
			defer ticker.Stop()
			for n := 0; ; n++ {
				if datagram := x.datagram(n); x.drop == nil || !x.drop(n) {
					_, _ = socket.Write(datagram) // a collector that has ended does not matter
				}
				select {
				case <-ticker.C:
				case <-end:
					return
				}
			}
		})
	}
}

// A templateExporter makes datagrams of NetFlow v9 or IPFIX: the template in every twentieth, and records of random
// flows.
type templateExporter struct {
	version  uint16
	domain   uint32
	in, out  uint32 // interfaces
	clockOff time.Duration
	sampling uint32 // 1 in so many, said in option records; 0: nothing is said
	orphan   uint16 // a template that data sets have and nobody defines; 0: none
	records  int    // in each datagram
	random   *rand.Rand
	sent     uint32 // data records
}

const flowTemplate, optionsTemplate = 256, 257

func (x *templateExporter) datagram(n int) []byte {
	var sets []byte
	before := x.sent
	if n%20 == 0 {
		sets = append(sets, x.templates()...)
	}
	if n%20 == 0 && x.sampling != 0 {
		// Scope: the system, 4 bytes; sampling interval (IE 34).
		sets = append(sets, dataSet(optionsTemplate, be(x.domain, 4), be(x.sampling, 4))...)
		x.sent++
	}
	var flows [][]byte
	for range x.records {
		flows = append(flows, x.flow())
	}
	sets = append(sets, dataSet(flowTemplate, flows...)...)
	x.sent += uint32(x.records)
	if x.orphan != 0 && n%10 == 5 {
		sets = append(sets, dataSet(x.orphan, make([]byte, 40))...)
	}
	seconds := uint32(time.Now().Add(x.clockOff).Unix())
	if x.version == 9 {
		header := append(be(9, 2), be(uint32(x.records), 2)...)
		header = append(append(header, be(3_600_000, 4)...), be(seconds, 4)...)
		return append(append(append(header, be(uint32(n), 4)...), be(x.domain, 4)...), sets...)
	}
	header := append(be(10, 2), be(uint32(16+len(sets)), 2)...)
	header = append(append(header, be(seconds, 4)...), be(before, 4)...)
	return append(append(header, be(x.domain, 4)...), sets...)
}

// flowFields are the elements of a flow and their lengths: addresses, ports, protocol, interfaces, octets, packets.
var flowFields = [][2]uint32{{8, 4}, {12, 4}, {7, 2}, {11, 2}, {4, 1}, {10, 4}, {14, 4}, {1, 4}, {2, 4}}

func (x *templateExporter) flow() []byte {
	site := func() uint32 {
		return 198<<24 | 18<<16 | x.random.Uint32N(6)*x.random.Uint32N(2)<<12 | x.random.Uint32N(1<<12)
	}
	packets := 1 + x.random.Uint32N(50)
	var b []byte
	for i, value := range []uint32{site(), site(), 1024 + x.random.Uint32N(60000), 443, 6, x.in, x.out,
		packets * (64 + x.random.Uint32N(1400)), packets} {
		b = append(b, be(value, int(flowFields[i][1]))...)
	}
	return b
}

func (x *templateExporter) templates() []byte {
	fields := append(be(flowTemplate, 2), be(uint32(len(flowFields)), 2)...)
	for _, f := range flowFields {
		fields = append(append(fields, be(f[0], 2)...), be(f[1], 2)...)
	}
	templateSet, optionsSet := uint16(0), uint16(1)
	// NetFlow v9: lengths of scope and options in bytes, scope 1 (system). IPFIX: fields in all and of the scope, scope
	// IE 149.
	options := []uint32{optionsTemplate, 4, 4, 1, 4, 34, 4}
	if x.version == 10 {
		templateSet, optionsSet = 2, 3
		options = []uint32{optionsTemplate, 2, 1, 149, 4, 34, 4}
	}
	sets := dataSet(templateSet, fields)
	if x.sampling != 0 {
		var body []byte
		for _, value := range options {
			body = append(body, be(value, 2)...)
		}
		sets = append(sets, dataSet(optionsSet, body)...)
	}
	return sets
}

// dataSet is a set with its header, filled up to four bytes.
func dataSet(id uint16, records ...[]byte) []byte {
	var body []byte
	for _, r := range records {
		body = append(body, r...)
	}
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	return append(append(be(uint32(id), 2), be(uint32(4+len(body)), 2)...), body...)
}

// be is a number in so many bytes, in network order.
func be(n uint32, bytes int) []byte { return binary.BigEndian.AppendUint32(nil, n)[4-bytes:] }

// sflowExporter plays the capture of an sFlow agent over and over, with numbers that go on.
func sflowExporter(t *testing.T) func(n int) []byte {
	t.Helper()
	var all [][]byte
	if _, err := capture.ReadAll([]string{testkit.OwnCapture(t, "sfprobe")}, func(dg exporter.Datagram) {
		all = append(all, append([]byte(nil), dg.Payload...))
	}); err != nil {
		t.Fatal(err)
	}
	const sequence, uptime = 16, 20 // behind version, address type and IPv4 address, sub-agent
	return func(n int) []byte {
		dg := all[n%len(all)]
		binary.BigEndian.PutUint32(dg[sequence:], uint32(n))
		binary.BigEndian.PutUint32(dg[uptime:], uint32(1_000_000+50*n))
		return dg
	}
}

// fourExporters are a NetFlow v9, an IPFIX and an sFlow exporter with which all is well, and one that does everything
// wrong.
func fourExporters(t *testing.T) []liveExporter {
	random := func() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }
	core := &templateExporter{version: 9, domain: 1, in: 7, out: 8, sampling: 100, records: 20, random: random()}
	border := &templateExporter{version: 10, domain: 2, in: 3, out: 4, sampling: 1000, records: 12, random: random()}
	broken := &templateExporter{version: 9, domain: 3, in: 512, out: 1, clockOff: 3700 * time.Second, orphan: 260,
		records: 5, random: random()}
	return []liveExporter{
		{source: "127.0.0.11", datagram: core.datagram},
		{source: "127.0.0.12", datagram: border.datagram},
		{source: "127.0.0.13", datagram: sflowExporter(t)},
		{source: "127.0.0.66", datagram: broken.datagram, drop: func(n int) bool { return n%8 == 7 }},
	}
}

// writeExporterMetadata describes them all.
func writeExporterMetadata(t *testing.T, dir string) {
	t.Helper()
	for name, text := range map[string]string{
		"meta_device.yml": `table: meta_device
data:
  - {id: core1, type: router, loopback_ip: ["127.0.0.11"]}
  - {id: border1, type: router, loopback_ip: ["127.0.0.12"]}
  - {id: switch1, type: switch, loopback_ip: ["198.51.100.31"]}
  - {id: old1, type: router, loopback_ip: ["127.0.0.66"]}
`,
		"meta_interface.yml": `table: meta_interface
data:
  - {id: "core1::to-border", type: port, device_id: core1, flow_index: 7, name: to-border}
  - {id: "core1::to-campus", type: port, device_id: core1, flow_index: 8, name: to-campus}
  - {id: "border1::upstream", type: port, device_id: border1, flow_index: 3, name: upstream, edge: true}
  - {id: "border1::core", type: port, device_id: border1, flow_index: 4, name: core}
  - {id: "switch1::hall", type: port, device_id: switch1, flow_index: 3, name: hall}
  - {id: "old1::one", type: port, device_id: old1, flow_index: 1, name: one}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"meta_as.yml", "meta_ip.yml", "meta_organization.yml"} {
		data, err := os.ReadFile(filepath.Join(golden.Repository(t), "bench", "testdata", "metadata", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
