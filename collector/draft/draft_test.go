package draft

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/metadata/files"
	"github.com/metranova/flow-collector/metadata/record"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// records are what a metadata loader makes of a text.
func records(t *testing.T, text string) []record.Raw {
	t.Helper()
	path := filepath.Join(t.TempDir(), "meta.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sets, err := files.Read(path)
	if err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	var table *record.Table
	for _, known := range record.Tables() {
		if known.Name == sets[0].Table {
			table = known
		}
	}
	var all []record.Raw
	problem := func(p record.Problem) { t.Errorf("%s:\n%s", p, text) }
	if err := sets[0].Each(func(r record.Raw, place string) error {
		if _, err := table.CoerceReporting(r, nil, func(why string) { t.Errorf("%s: %s", place, why) }); err != nil {
			t.Errorf("%s: %v", place, err)
		}
		all = append(all, r)
		return nil
	}, problem); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestFiles(t *testing.T) {
	h := Heard{
		Devices: []Device{{"192.0.2.1", []string{"ipfix", "netflow"}, 7}, {"core1", []string{"sflow"}, 9},
			{"::ffff:192.0.2.9", nil, 1}, {"2001:db8::1", nil, 1}, {"unknown", nil, 1}},
		Interfaces: []Interface{
			{Device: "192.0.2.1", Index: 7, BitsIn: 8_000_000_000},
			{Device: "192.0.2.1", Index: 5, ID: `192.0.2.1::et-0/0/0 "x" # \`},
			{Device: "core1", Index: 6, Known: true},
			{Device: "core1", Index: 8, ID: "core1::ae0\n  - id: evil"},
			{Device: "core1", Index: 9, ID: "core1::ae0\n  - id: evil"},
		},
	}
	text, n := h.DeviceFile()
	devices := records(t, text)
	if n != 3 || len(devices) != 3 || devices[0]["id"] != "192.0.2.1" {
		t.Errorf("%d devices: %v", n, devices)
	}
	for i, want := range []string{"192.0.2.1", "192.0.2.9", "2001:db8::1"} {
		if a, err := netip.ParseAddr(devices[i]["loopback_ip"].([]any)[0].(string)); err != nil || a.String() != want {
			t.Errorf("device %d: %v", i, devices[i])
		}
	}
	text, n = h.InterfaceFile()
	interfaces := records(t, text)
	if n != 4 || len(interfaces) != 4 {
		t.Fatalf("%d interfaces:\n%s", n, text)
	}
	if first := interfaces[0]; first["name"] != `et-0/0/0 "x" # \` || first["flow_index"] != int64(5) {
		t.Errorf("%v", first)
	}
	if interfaces[1]["name"] != "if7" || !strings.Contains(text, "# 1.0 GB in, 0 B out") {
		t.Errorf("%v:\n%s", interfaces[1], text)
	}
	if interfaces[2]["name"] != "ae0\n  - id: evil" || interfaces[3]["name"] != "if9" {
		t.Errorf("names of two: %v", interfaces[2:])
	}
}

// Ask reads it out of the table of flows.
func TestAsk(t *testing.T) {
	cfg := testkit.Config(t)
	conn := testkit.Connect(t, cfg)
	testkit.MakeTables(t, cfg, conn)
	testkit.Ask(t, cfg, "INSERT INTO data_flow (start_time, device_id, flow_type, in_if_index, out_if_index, "+
		"in_interface_id, in_interface_ref, bit_count) VALUES "+
		"(now(), '192.0.2.1', 'ipfix', 5, 6, '192.0.2.1::ge-0/0/5', NULL, 80), "+
		"(now(), 'core1', 'sflow', 3, 0, 'core1::a', 'core1::a__v1', 8), "+
		// the device itself, dropped for reason 2, sent to 4 interfaces: no interfaces
		"(now(), 'core1', 'sflow', 0x3fffffff, 0x40000002, NULL, NULL, 8), "+
		"(now(), 'core1', 'sflow', 3, 0x80000004, 'core1::a', 'core1::a__v1', 8), "+
		"(now(), '192.0.2.1', 'ipfix', 0xffffffff, 0x3fffffff, NULL, NULL, 16), "+
		"(now(), '192.0.2.1', 'ipfix', 0, 0x50000001, NULL, NULL, 16)")
	h, err := Ask(t.Context(), conn, &cfg.Schema, 7)
	if err != nil {
		t.Fatal(err)
	}
	text, n := h.InterfaceFile()
	if len(h.Devices) != 2 || n != 3 || !strings.Contains(text, "flow_index: 1342177281") ||
		!strings.Contains(text, "ge-0/0/5") || strings.Contains(text, "core1") ||
		!strings.Contains(text, "# 10 B in, 0 B out") || !strings.Contains(text, "# 0 B in, 10 B out") {
		t.Errorf("%+v:\n%s", h, text)
	}
	if text, n := h.DeviceFile(); n != 1 || !strings.Contains(text, "3 flows of ipfix") {
		t.Errorf("%d devices:\n%s", n, text)
	}
}
