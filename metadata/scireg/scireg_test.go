package scireg

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/metadata/record"
)

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "scireg.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRead(t *testing.T) {
	path := file(t, `[
	{"scireg_id": 7, "addresses": ["192.0.2.7", " 2001:db8::/32 ", "192.0.2.9/24"], "org_name": "Lab", "latitude": `+
		`"47.5", "longitude": "",
	 "last_updated": "2024-10-01", "discipline": "Physics", "resource_name": "DTN", "project_name": "", `+
		`"contact_email": null, "more": {}},
	{"scireg_id": 8, "addresses": ["192.0.2.300", "192.0.2.0/33", "2001:db8::/129", "fe80::1%eth0", null, 5, "", `+
		`"192.0.2.8"]},
	{"scireg_id": "9", "addresses": ["none"]},
	{"scireg_id": 10, "addresses": []},
	{"scireg_id": 11},
	{"scireg_id": 12, "addresses": "192.0.2.12"},
	{"addresses": ["192.0.2.13"], "last_updated": 5, "scireg_id": 13},
	{"addresses": ["192.0.2.14"]},
	"text",
	{"scireg_id": 18446744073709551616, "addresses": ["::1"], "last_updated": null}
	]`)
	set, err := Read(path, "https://scireg.example.net/all")
	if err != nil || set.Table != record.SciReg || set.Source != "scireg:https://scireg.example.net/all" {
		t.Fatalf("%+v, %v", set, err)
	}
	var records, problems []string
	if err := set.Each(func(r record.Raw, _ string) error {
		records = append(records, fmt.Sprint(r["id"], r["ip_subnet"], r["organization_id"], r["organization_name"],
			r["latitude"], r["scireg_update_time"]))
		return nil
	}, func(p record.Problem) {
		problems = append(problems, strings.TrimPrefix(p.String(), path+": "))
	}); err != nil {
		t.Fatal(err)
	}
	wantRecords := []string{
		"7[{192.0.2.7 32} {2001:db8:: 32} {192.0.2.9 24}]LabLab47.52024-10-01",
		"8[{192.0.2.8 32}] <nil> <nil> <nil>",
		"18446744073709551616[{::1 128}] <nil> <nil> <nil>",
	}
	if diff := cmp.Diff(wantRecords, records); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	wantProblems := []string{
		`entry 2: 8: address left out: "192.0.2.300" is not an IP address`,
		`entry 2: 8: address left out: "192.0.2.0/33" is not a subnet: bad prefix length`,
		`entry 2: 8: address left out: "2001:db8::/129" is not a subnet: bad prefix length`,
		`entry 2: 8: address left out: "fe80::1%eth0" is not an IP address`,
		`entry 2: 8: address left out: "<nil>" is not an IP address`,
		`entry 2: 8: address left out: "5" is not an IP address`,
		`entry 2: 8: address left out: "" is not an IP address`,
		`entry 3: 9: address left out: "none" is not an IP address`,
		"entry 3: 9: addresses: none is valid",
		"entry 4: 10: addresses: none is valid",
		"entry 5: 11: addresses: missing",
		"entry 6: 12: addresses: of the wrong type, a JSON string",
		"entry 7: 13: last_updated: of the wrong type, a JSON number",
		"entry 8: scireg_id: missing",
		"entry 9: a JSON string instead of an object",
	}
	if diff := cmp.Diff(wantProblems, problems); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

// TestNoRegistry has files that a download must not put in the place of a registry.
func TestNoRegistry(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"page of HTML": {"<html>", "not a JSON list: invalid character"},
		"an object":    {`{"error": "later"}`, "not a JSON list: { comes first"},
		"empty list":   {"[]", "the list is empty"},
		"cut short":    {`[{"scireg_id": 1`, "not a JSON list: entry 1: unexpected EOF"},
		"not ended":    {`[{"scireg_id": 1, "addresses": ["192.0.2.1"]}`, "not a JSON list: after entry 1: EOF"},
		"two lists": {`[{"scireg_id": 1, "addresses": ["192.0.2.1"]}][]`,
			"not a JSON list: something comes after it"},
		"empty":      {"", "not a JSON list: EOF"},
		"none right": {"[1, 2]", "no correct entry"},
		"a bomb":     {"[0" + strings.Repeat(",0", 1<<20) + "]", "more than 10000 entries are wrong"},
		"entries without end": {"[" + strings.Repeat(`{"scireg_id":1,"addresses":["10.0.0.0/8"]},`, 200_001) + "1]",
			"more than 200000 entries"},
		"addresses without end": {"[" + strings.Repeat(`{"scireg_id":1,"addresses":["10.0.0.0/8"`+
			strings.Repeat(`,"10.0.0.0/8"`, 70_000)+`]},`, 15) + "1]", "more than 1000000 addresses"},
		"a large text": {`["` + strings.Repeat("x", 2<<20) + `"]`,
			"not a JSON list: entry 1: an entry or line of more than"},
	} {
		path := file(t, c.text)
		if err := check(path); err == nil || !strings.HasPrefix(err.Error(), path+": "+c.want) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	if err := check(file(t, `[{"scireg_id": 1, "addresses": ["192.0.2.1"]}]`)); err != nil {
		t.Errorf("a registry: %v", err)
	}
}

// TestPythonsJSON: what Python's json module writes for a float that is no number costs the value, and a byte order
// mark nothing.
func TestPythonsJSON(t *testing.T) {
	path := file(t, "\ufeff"+`[{"scireg_id": 1, "addresses": ["192.0.2.1"], "latitude": NaN, "longitude": -Infinity, `+
		`"org_name": "NaN"},
		{"scireg_id": 2, "addresses": ["192.0.2.2"]}]`)
	set, err := Read(path, "x")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	if err := set.Each(func(r record.Raw, _ string) error {
		got = append(got, fmt.Sprint(r["id"], r["latitude"], r["longitude"], r["organization_name"]))
		return nil
	}, func(p record.Problem) { t.Error(p) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1<nil> <nil>NaN", "2<nil> <nil> <nil>"}, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`[{"scireg_id": 7, "addresses": ["192.0.2.7", " 2001:db8::/32 "], "org_name": "Lab", "latitude": ` +
		`NaN, "longitude": "", "last_updated": "2024-10-01"}]`))
	f.Add([]byte("\ufeff[1, {}, {\"scireg_id\": [1], \"addresses\": {}}]"))
	path := filepath.Join(f.TempDir(), "scireg.json")
	var table *record.Table
	for _, t := range record.Tables() {
		if t.Name == record.SciReg {
			table = t
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		set, err := Read(path, "x")
		if err != nil {
			return
		}
		good := 0
		if err := set.Each(func(r record.Raw, _ string) error {
			good++
			_, err := table.Coerce(r, nil)
			_ = err // some values do not fit their columns
			return nil
		}, func(record.Problem) {}); err != nil || good == 0 {
			t.Errorf("a list that was right has %d records the second time: %v", good, err)
		}
	})
}

func check(path string) error {
	_, err := Read(path, "")
	return err
}
