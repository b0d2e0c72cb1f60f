package tap

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/explore/filter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/message"
)

func row() *enrich.Row {
	addr := func(s string) flow.Addr { return flow.AddrFrom(netip.MustParseAddr(s)) }
	return &enrich.Row{
		Flow: &flow.Record{Exporter: addr("203.0.113.1"), SrcAddr: addr("192.0.2.7"), DstAddr: addr("2001:db8::1"),
			Protocol: flow.IPFIX, SamplingRate: 100, InIf: 3, InIfKind: flow.InterfaceDiscarded, OutIf: 7, ToS: 46 << 2,
			VLAN: 12, TCPFlags: 18, Communities: []uint32{64500<<16 | 7}},
		DeviceID: "core1", Protocol: "tcp", SrcASID: 64500, DstASID: 64501, SrcPort: 50000, DstPort: 443, IPVersion: 4,
		Bits: 8000, Packets: 3, In: enrich.Interface{ID: "core1::et-0/0/0"}, HasPeer: true,
		PeerIP:  addr("198.51.100.9"),
		VRFName: "blue", PolicyScope: enrich.Scopes{Listed: []string{"lab"}, Community: "comm:lhcone"},
		ASPathID:        []uint32{64501, 64502},
		ApplicationPort: 443,
	}
}

func TestFilter(t *testing.T) {
	layout := &message.Layout{CollectorID: "lab", PolicyLevel: "tlp:amber", PolicyOriginator: "Example"}
	for text, want := range map[string]bool{
		"":                                      true,
		"device = core1":                        true,
		"device = core2":                        false,
		"device = COR*1":                        true,
		"router = c*r*1":                        true,
		"device = c*x*1":                        false,
		"exporter = 203.0.113.1":                true,
		"exporter in 203.0.113.0/24":            true,
		"exporter = core1":                      true,
		"router ip 203.0.113.1":                 true,
		"src net 192.0.2/24 and ip4":            true,
		"tcp and not port 22":                   true,
		"SrcAddr << 192.0.2.0/24":               true,
		"DstPort in (80, 400-500)":              true,
		"dst port between 1 and 442":            false,
		"as 64500-64501":                        true,
		"src as > 64501":                        false,
		"dst.as >= 64501 and dst.as < 64502":    true,
		"src = 192.0.2.1-192.0.2.9":             true,
		"flags ~ SYN and not flags ~ RST":       true,
		"device like 'core%'":                   true,
		"dscp = EF":                             true,
		"src in 192.0.2.0/24":                   true,
		"source in 192.0.2.0/24":                true,
		"SRC_ADDRESS = 192.0.2.7":               true,
		"src in ::/0":                           false, // IPv6 alone
		"dst in ::/0":                           true,
		"src = ::ffff:192.0.2.7":                true,
		"dst in 192.0.2.0/24":                   false,
		"src.prefix = 192.0.2.0/24":             true,
		"src.prefix = 192.0.2.0":                true,
		"dst.prefix = 2001:db8::":               true,
		"ip in (10.0.0.0/8, 2001:db8::/32)":     true,
		"host = 2001:db8::1":                    true,
		"port = 443 and proto = TCP":            true,
		"src.port = 443":                        false,
		"as = AS64501":                          true,
		"asn = 0.64501":                         true, // RFC 5396
		"not as = 64502":                        true,
		"src.asn in (64500, 1.10)":              true,
		"next.as = unknown":                     true,
		"src.as = unknown":                      false,
		"bytes >= 1000 packets < 3":             false,
		"bytes >= 1k and packets < 4":           true,
		"bytes > 1.5KB":                         false,
		"in.if ~ ET-0":                          true,
		"out.if = unknown":                      true,
		"interface = core1::et-0/0/0":           true,
		"in.ifindex = 0x40000003":               true, // sFlow: dropped, reason 3
		"out.ifindex = 7":                       true,
		"next.hop = 198.51.100.9":               true,
		"proto in (udp, icmp) or port < 444":    true,
		"sampling != 100":                       false,
		"type = ipfix version = 4":              true,
		"type = netflow family = 4":             true,
		"type = sflow":                          false,
		"scope = comm:lhcone":                   true,
		"scope = unknown":                       false,
		"community = 64500:7":                   true,
		`path = "64501 64502"`:                  true,
		"vlan = 12 and dscp = 46":               true,
		"flags = 18":                            true,
		"app = 443 and app = tcp/443":           true,
		"vrf = blue":                            true,
		"collector = lab and level = tlp:AMBER": true,
		"originator = example":                  true,
	} {
		match, err := compile(text, layout)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := match(row()); got != want {
			t.Errorf("%s is %v", text, got)
		}
	}
	for text, want := range map[string]string{
		"devcie = x":     "devcie is no field: did you mean device?",
		"port = http":    "port is a number",
		"src = x":        "x is neither an address nor a prefix",
		"src ~ 192":      "src is an address: use = or in",
		"device < x":     "device has no order: use =, in or ~",
		"as > unknown":   "unknown is no AS number",
		"flags ~ 1-2":    "flags is a number or names of flags, such as SYN+ACK",
		"port = ":        "here the filter ends",
		"src.org = x":    "src.org is not in a record but in the tables of metadata: use collector explore",
		"country = CH":   "country is not in a record",
		`as = "UNI-A"`:   "names of AS are not in a record",
		"app = https":    "names of applications are not in a record",
		"circuit = c1":   "circuit is not in a record",
		"packets = many": "packets is a number",
	} {
		if _, err := compile(text, layout); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// A record has a value for each field of filters that needs no table, of the function that its kind is compared by.
func TestValues(t *testing.T) {
	all := values(&message.Layout{})
	for _, f := range filter.Fields() {
		v, found := all[f.Name]
		if len(f.Both) > 0 || f.Stored {
			if found {
				t.Errorf("%s has a value of its own", f.Name)
			}
			continue
		}
		var fits bool
		switch f.Kind {
		case filter.Address:
			fits = v.address != nil
		case filter.Number, filter.Size, filter.AS:
			fits = v.number != nil
		case filter.Application:
			fits = v.number != nil && v.text != nil
		case filter.Text:
			fits = v.text != nil || v.texts != nil
		}
		if !fits {
			t.Errorf("%s has no value of its kind", f.Name)
		}
		delete(all, f.Name)
	}
	delete(all, exporter)
	for name := range all {
		t.Errorf("%s is no field of filters", name)
	}
}

// Who asks gets the records that pass, until the server ends; nobody else can open the socket, and without readers
// workers have nothing to do.
func TestSocket(t *testing.T) {
	var hub Hub
	path := SocketPath(t.TempDir())
	s, err := Listen(path, &hub, message.Layout{CollectorID: "lab"}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v", info, err)
	}
	if _, err := Listen(path, &hub, message.Layout{}, zap.NewNop()); err == nil {
		t.Error("a second collector takes the socket")
	}
	if hub.Current().Load() != nil {
		t.Error("there is a tap without a reader")
	}
	enough := errors.New("enough")
	got := make(chan error, 1)
	var record map[string]any
	go func() {
		got <- Read(t.Context(), path, "port = 443", func(line []byte) error {
			if err := json.Unmarshal(line, &record); err != nil {
				return err
			}
			return enough
		}, func(uint64) {})
	}()
	waitFor(t, "a tap", func() bool { return hub.Current().Load() != nil })
	other := row()
	other.DstPort = 80
	(*hub.Current().Load())(other)
	(*hub.Current().Load())(row())
	if err := <-got; !errors.Is(err, enough) || record["dst_port"] != 443.0 || record["device_id"] != "core1" {
		t.Errorf("%v: %v", err, record)
	}
	waitFor(t, "no tap", func() bool { return hub.Current().Load() == nil })
	err = Read(t.Context(), path, "nonsense = 1", func([]byte) error { return nil }, func(uint64) {})
	if err == nil || !strings.Contains(err.Error(), "nonsense is no field") {
		t.Errorf("a wrong filter: %v", err)
	}
	go func() {
		got <- Read(context.Background(), path, "", func([]byte) error { return nil }, func(uint64) {})
	}()
	waitFor(t, "a tap", func() bool { return hub.Current().Load() != nil })
	s.Close()
	if err := <-got; err == nil || !strings.Contains(err.Error(), "ended") {
		t.Errorf("the end of the collector: %v", err)
	}
	if err := Read(t.Context(), filepath.Join(t.TempDir(), "none"), "", nil, nil); err == nil {
		t.Error("a socket that is not there answers")
	}
}

// A reader that does not read costs the worker nothing but a count.
func TestReaderThatStops(t *testing.T) {
	var hub Hub
	tp := newTap(func(*enrich.Row) bool { return true }, message.Layout{})
	if !hub.add(tp) {
		t.Fatal("no tap")
	}
	r := row()
	for range 3 * queued {
		(*hub.Current().Load())(r)
	}
	if got, left := uint64(len(tp.out)), tp.left.Load(); got+left != 3*queued || left == 0 {
		t.Errorf("%d records and %d left out of %d", got, left, 3*queued)
	}
	for range maxTaps - 1 {
		if !hub.add(newTap(func(*enrich.Row) bool { return true }, message.Layout{})) {
			t.Error("there are not enough taps")
		}
	}
	if hub.add(tp) {
		t.Error("there are too many taps")
	}
}

func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s", what)
		}
	}
}

// refusing is a listener whose first connections fail, as for want of file descriptors.
type refusing struct {
	net.Listener
	left int
}

func (r *refusing) Accept() (net.Conn, error) {
	if r.left--; r.left >= 0 {
		return nil, syscall.EMFILE
	}
	return r.Listener.Accept()
}

// A process that has no file descriptors for a while lets its records be read again afterwards.
func TestSocket_withoutDescriptors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records.sock")
	socket, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{hub: &Hub{}, layout: message.Layout{}, log: zap.NewNop(), socket: &refusing{socket, 2}}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.ended.Go(s.accept)
	defer s.Close()
	err = Read(t.Context(), path, "no such field = 1", func([]byte) error { return nil }, func(uint64) {})
	if err == nil || !strings.Contains(err.Error(), "no such") {
		t.Errorf("%v, want an answer about the filter", err)
	}
}
