package record

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/sink/golden"
)

func tableOf(t testing.TB, name string) *Table {
	t.Helper()
	for _, table := range Tables() {
		if table.Name == name {
			return table
		}
	}
	t.Fatalf("no table %s", name)
	return nil
}

// TestHashVectors makes the rows of the reference's hash vectors again, and compares text and hash.
func TestHashVectors(t *testing.T) {
	f, err := os.Open(golden.Reference(t, "golden", "metadata", "expected", "hash_vectors.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	n := 0
	for lines.Scan() {
		var v struct{ Table, MD5, Text string }
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		n++
		table := tableOf(t, v.Table)
		var raw Raw
		d := json.NewDecoder(strings.NewReader(v.Text))
		d.UseNumber()
		if err := d.Decode(&raw); err != nil {
			t.Fatal(err)
		}
		row, err := table.Coerce(raw, nil)
		if err != nil {
			t.Fatalf("%s: %v", v.Text, err)
		}
		for i, c := range table.Columns { // references are looked up, not given
			switch c.Kind {
			case Reference, ReferenceList:
				row[i] = raw[c.Name]
			}
		}
		hash, text := table.Hash(row, nil)
		if string(text) != v.Text || hex.EncodeToString(hash[:]) != v.MD5 {
			t.Errorf("%s: hash %x, want %s\n got %s\nwant %s", v.Table, hash, v.MD5, text, v.Text)
		}
	}
	if err := lines.Err(); err != nil || n != 100 {
		t.Errorf("%d vectors, %v, want 100", n, err)
	}
}

// TestCanonicalText has the canonical form's rules one by one: compact, UTF-8, shortest numbers, keys sorted.
func TestCanonicalText(t *testing.T) {
	for _, c := range []struct {
		name  string
		value any
		want  string
	}{
		{"whole float", 47.0, "47.0"},
		{"negative zero", math.Copysign(0, -1), "-0.0"},
		{"small float", 0.00001, "0.00001"},
		{"smaller float", 0.0000012, "1.2e-6"},
		{"large float", 1e15, "1000000000000000.0"},
		{"larger float", 1e16, "1e16"},
		{"not a number", math.NaN(), "null"},
		{"letters beyond ASCII stay", "Zürich ☃", `"Zürich ☃"`},
		{"quotes and line ends", "a\"b\\c\n\t\x01\x7f/", `"a\"b\\c\n\t\u0001` + "\x7f" + `/"`},
		{"keys are sorted at each level", map[string]any{"b": map[string]any{"d": 1, "c": nil}, "a": []any{true, "x"}},
			`{"a":[true,"x"],"b":{"c":null,"d":1}}`},
		{"subnets are pairs", []Subnet{{"10.0.0.0", 8}, {"::", 0}}, `[["10.0.0.0",8],["::",0]]`},
		{"empty list", []string{}, "[]"},
	} {
		if got := string(appendJSON(nil, c.value)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestCoerce has the type rules of metadata columns (row semantics, part C).
func TestCoerce(t *testing.T) {
	iface := Raw{"id": "d::1", "device_id": "d", "name": "1", "type": "port"}
	with := func(base Raw, key string, value any) Raw {
		r := Raw{}
		for k, v := range base {
			r[k] = v
		}
		r[key] = value
		return r
	}
	for _, c := range []struct {
		name, table, column string
		raw                 Raw
		want                any
	}{
		{"edge true", Interface, "edge", with(iface, "edge", true), true},
		{"edge True", Interface, "edge", with(iface, "edge", "True"), true},
		{"edge 1", Interface, "edge", with(iface, "edge", uint64(1)), true},
		{"edge yes is true", Interface, "edge", with(iface, "edge", Word{Text: "yes", Value: true}), true},
		{"edge 2 is false", Interface, "edge", with(iface, "edge", 2), false},
		{"no edge is false", Interface, "edge", iface, false},
		{"index as text", Interface, "flow_index", with(iface, "flow_index", "144"), uint64(144)},
		{"index out of range", Interface, "flow_index", with(iface, "flow_index", 1<<32), nil},
		{"negative index", Interface, "flow_index", with(iface, "flow_index", -1), nil},
		{"index that is no number", Interface, "flow_index", with(iface, "flow_index", "x"), nil},
		{"name that YAML takes for a number", Interface, "name", with(iface, "name", 143), "143"},
		{"list as JSON text", Interface, "circuit_id", with(iface, "circuit_id", `["a","b"]`), []string{"a", "b"}},
		{"list that is none", Interface, "circuit_id", with(iface, "circuit_id", "a"), []string{}},
		{"no ext", Interface, "ext", iface, "{}"},
		{"ext sorted", Interface, "ext", with(iface, "ext", map[string]any{"z": 1, "a": "b"}), `{"a":"b","z":1}`},
		{"ext as text stays", Interface, "ext", with(iface, "ext", `{"z": 1}`), `{"z": 1}`},
		{"latitude as text", Device, "latitude", Raw{"id": "d", "type": "r", "latitude": "8.5"}, 8.5},
		{"empty latitude", Device, "latitude", Raw{"id": "d", "type": "r", "latitude": ""}, nil},
		{"date", SciReg, "scireg_update_time", Raw{"id": "1", "ip_subnet": []any{"10.0.0.0/8"},
			"scireg_update_time": "2024-10-01"}, "2024-10-01"},
		{"impossible date", SciReg, "scireg_update_time",
			Raw{"id": "1", "ip_subnet": []any{"10.0.0.0/8"}, "scireg_update_time": "2024-02-30"}, "1970-01-01"},
		{"unknown date", SciReg, "scireg_update_time",
			Raw{"id": "1", "ip_subnet": []any{"10.0.0.0/8"}, "scireg_update_time": "unknown"}, "1970-01-01"},
		{"subnet as pair", IP, "ip_subnet", Raw{"id": "1", "ip_subnet": []any{[]any{"10.0.0.0", 8}}},
			[]Subnet{{"10.0.0.0", 8}}},
		{"subnet as text, and a host", IP, "ip_subnet", Raw{"id": "1", "ip_subnet": []any{"10.0.0.0/8", "::1"}},
			[]Subnet{{"10.0.0.0", 8}, {"::1", 128}}},
	} {
		table := tableOf(t, c.table)
		row, err := table.Coerce(c.raw, nil)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if diff := cmp.Diff(c.want, row[table.Index(c.column)]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	for _, c := range []struct {
		name, table string
		raw         Raw
		want        string
	}{
		{"no id", Device, Raw{"type": "router"}, "id: missing"},
		{"empty id", Device, Raw{"id": "", "type": "router"}, "id: missing"},
		{"no required column", Device, Raw{"id": "d"}, "type: missing"},
		{"mapping for a text", Device, Raw{"id": "d", "type": map[string]any{"a": 1}},
			"type: a mapping instead of a text"},
		{"bad loopback", Device, Raw{"id": "d", "type": "r", "loopback_ip": []any{"10.0.0.300"}},
			`loopback_ip: "10.0.0.300" is not an IP address`},
		{"loopback with a zone", Device, Raw{"id": "d", "type": "r", "loopback_ip": []any{"fe80::1%eth0"}},
			`loopback_ip: "fe80::1%eth0" is not an IP address`},
		{"list for ext", Device, Raw{"id": "d", "type": "r", "ext": []any{}}, "ext: a list instead of a mapping"},
		{"AS id that is none", AS, Raw{"id": "x", "name": "n", "organization_id": "o"},
			`id: "x" is not a whole number from 0 to 4294967295`},
		{"port out of range", Application, Raw{"id": "a", "protocol": "tcp", "port_range_min": 1,
			"port_range_max": 65536}, "port_range_max: 65536 is not a whole number from 0 to 65535"},
		{"one endpoint", Circuit, Raw{"id": "c", "endpoint_id": []any{"a"}, "endpoint_type": []any{"a", "b"}},
			"endpoint_id: 1 entries instead of two"},
		{"prefix too long", IP, Raw{"id": "i", "ip_subnet": []any{[]any{"10.0.0.0", 33}}},
			"ip_subnet: 10.0.0.0/33 is not a subnet: bad prefix length"},
		{"a subnet that is no list", IP, Raw{"id": "i", "ip_subnet": "192.0.2.0/24"},
			`ip_subnet: "192.0.2.0/24" is not a list, which is written ["192.0.2.0/24"]`},
		{"no subnet", IP, Raw{"id": "i", "ip_subnet": []any{}}, "ip_subnet: no subnet"},
	} {
		if _, err := tableOf(t, c.table).Coerce(c.raw, nil); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

// TestSubnetPrefix has the look-up form: IPv4 as IPv4, masked, lengths of the address's own family.
func TestSubnetPrefix(t *testing.T) {
	for s, want := range map[Subnet]string{
		{"10.1.2.3", 8}:           "10.0.0.0/8",
		{"::ffff:10.1.2.3", 8}:    "10.0.0.0/8",
		{"::ffff:10.1.2.3", 104}:  "10.0.0.0/8",
		{"2001:0DB8:54:0::1", 48}: "2001:db8:54::/48",
	} {
		if p, err := s.Prefix(); err != nil || p.String() != want {
			t.Errorf("%v: %v, %v, want %s", s, p, err, want)
		}
	}
}

// TestTablesAreInDependencyOrder checks that a reference's target comes before the table, or is the table.
func TestTablesAreInDependencyOrder(t *testing.T) {
	seen := map[string]bool{}
	for _, table := range Tables() {
		seen[table.Name] = true
		for _, c := range table.Columns {
			if c.Target != "" && !seen[c.Target] {
				t.Errorf("%s.%s refers to %s, which comes later", table.Name, c.Name, c.Target)
			}
		}
	}
}

// TestWrongTypes: a value of the wrong type is left out with a line that has the key and the value; the record stays.
// What is missing or empty is no wrong value.
func TestWrongTypes(t *testing.T) {
	for _, c := range []struct {
		column string
		value  any
		want   any
		reason string
	}{
		{"edge", Word{"yes", true, false}, true, ""}, {"edge", Word{"Y", true, true}, true, ""},
		{"edge", "True", true, ""}, {"edge", 1, true, ""}, {"edge", nil, false, ""},
		{"edge", "No", false, ""}, {"edge", Word{"OFF", false, false}, false, ""}, {"edge", "", false, ""},
		{"edge", 0.0, false, ""},
		{"edge", "yes", false, `edge: "yes" is neither true nor false: the value is left out`},
		{"edge", "maybe", false, `edge: "maybe" is neither true nor false: the value is left out`},
		{"edge", 2, false, "edge: 2 is neither true nor false: the value is left out"},
		{"edge", []any{true}, false, "edge: [true] is neither true nor false: the value is left out"},
		{"flow_index", " 7 ", uint64(7), ""}, {"flow_index", 7.0, uint64(7), ""}, {"flow_index", "", nil, ""},
		{"flow_index", nil, nil, ""},
		{"flow_index", 7.5, nil, "flow_index: 7.5 is not a whole number up to 4294967295: the value is left out"},
		{"flow_index", -1, nil, "flow_index: -1 is not a whole number up to 4294967295: the value is left out"},
		{"flow_index", 1 << 32, nil,
			"flow_index: 4294967296 is not a whole number up to 4294967295: the value is left out"},
		{"speed", "10G", nil, `speed: "10G" is not a whole number: the value is left out`},
		{"tag", "a", []string{}, `tag: "a" is not a list, which is written ["a"]: the value is left out`},
		{"tag", []any{Word{"on", true, false}, true}, []string{"on", "true"}, ""},
		{"description", Word{"off", false, false}, "off", ""},
		{"ext", map[string]any{"up": Word{"yes", true, false}, "y": Word{"y", true, true}}, `{"up":true,"y":"y"}`, ""},
	} {
		table := tableOf(t, Interface)
		raw := Raw{"id": "i", "type": "port", "device_id": "d", "name": "n", c.column: c.value}
		reasons := ""
		row, err := table.CoerceReporting(raw, nil, func(reason string) { reasons += reason })
		if err != nil {
			t.Errorf("%s: %v: %v", c.column, c.value, err)
			continue
		}
		if diff := cmp.Diff(c.want, row[table.Index(c.column)]); diff != "" || reasons != c.reason {
			t.Errorf("%s: %#v: %q, want %q; -want +got:\n%s", c.column, c.value, reasons, c.reason, diff)
		}
	}
}

// FuzzCoerce makes rows of any JSON object.
func FuzzCoerce(f *testing.F) {
	f.Add(`{"id": 1, "ip_subnet": [["192.0.2.0", 24], "::/0"], "as_id": "64496", "ext": "{}", "latitude": "x", ` +
		`"tag": "[1]"}`)
	f.Add(`{"id": "c", "endpoint_id": ["a", "b"], "endpoint_type": ["a", null], "loopback_ip": ["::ffff:192.0.2.1"], ` +
		`"edge": "yes", "ext": {"a": [1e400]}}`)
	f.Add(`{"id": "a", "protocol": "tcp", "port_range_min": 65536, "port_range_max": -0, "scireg_update_time": ` +
		`"2024-01-01 x"}`)
	tables := Tables()
	f.Fuzz(func(t *testing.T, text string) {
		var raw Raw
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		if d.Decode(&raw) != nil {
			return
		}
		for _, table := range tables {
			row, err := table.Coerce(raw, nil)
			if err != nil {
				continue
			}
			canonical := table.AppendCanonical(nil, row)
			if !json.Valid(canonical) && strings.ToValidUTF8(text, "") == text {
				t.Errorf("%s: the canonical text is no JSON: %s", table.Name, canonical)
			}
			hash, _ := table.Hash(row, nil)
			table.AppendRowBinary(nil, row, "x__v1", hash)
		}
	})
}
