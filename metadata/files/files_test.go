package files

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/metadata/record"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "meta.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func collect(t *testing.T, s record.Set) (records []string, problems []string) {
	t.Helper()
	err := s.Each(func(r record.Raw, place string) error {
		records = append(records, fmt.Sprint(place[strings.LastIndex(place, ":")+1:], " ", r["id"]))
		return nil
	}, func(p record.Problem) { problems = append(problems, p.String()) })
	if err != nil {
		t.Fatal(err)
	}
	return records, problems
}

func TestRead(t *testing.T) {
	path := write(t, `# a comment
table: meta_device
data:
  - id: one
    type: router
  - {id: two, type: router}
  - just a text

  - id: three
    ext: {zone: b}
`)
	sets, err := Read(path)
	if err != nil || len(sets) != 1 || sets[0].Table != "meta_device" || sets[0].Source != "file:"+path {
		t.Fatalf("%+v, %v", sets, err)
	}
	records, problems := collect(t, sets[0])
	if diff := cmp.Diff([]string{"4 one", "6 two", "9 three"}, records); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{path + ":7: not a mapping"}, problems); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

// TestBadRecords has faults that YAML itself finds; each costs its record. A key that is there twice costs its first
// value, as in Python.
func TestBadRecords(t *testing.T) {
	path := write(t, `table: meta_device
data:
  - id: one
    type: router
    type: switch
  - {id: two, type: router}
  - [id, three]
  -
  - {id: 4, type: router}
`)
	sets, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	records, problems := collect(t, sets[0])
	if diff := cmp.Diff([]string{"3 one", "6 two", "9 4"}, records); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	want := []string{path + `:3: one: duplicate key "type": the last one counts`, path + ":7: not a mapping",
		path + ":8: not a mapping"}
	for i, p := range problems {
		if i >= len(want) || !strings.HasPrefix(p, want[i]) || strings.Contains(p, "\n") {
			t.Errorf("problem %q", p)
		}
	}
	if len(problems) != len(want) {
		t.Errorf("%d problems, want %d", len(problems), len(want))
	}
}

func TestAnchors(t *testing.T) {
	sets, err := Read(write(t, `defaults: &router {type: router, role: edge}
table: meta_device
data:
  - {<<: *router, id: one}
  - &two {<<: *router, id: two, role: core}
  - just a text
`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	if err := sets[0].Each(func(r record.Raw, place string) error {
		got = append(got, fmt.Sprint(r["id"], " ", r["type"], " ", r["role"]))
		return nil
	}, func(p record.Problem) { got = append(got, p.Reason) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"one router edge", "two router core", "not a mapping"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReadIPGivesOrigins(t *testing.T) {
	sets, err := Read(write(t, `table: meta_ip
data:
  - {id: site, ip_subnet: [["192.0.2.0", 24], "2001:db8::/48"], as_id: 64496}
  - {id: without, ip_subnet: [["198.51.100.0", 24]]}
`))
	if err != nil || len(sets) != 2 || sets[1].Table != record.ASPrefix {
		t.Fatalf("%+v, %v", sets, err)
	}
	records, _ := collect(t, sets[1])
	if diff := cmp.Diff([]string{"3 site 192.0.2.0/24", "3 site 2001:db8::/48"}, records); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBrokenFiles(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no table":        {"data: []\n", ": the key table is missing"},
		"data is no list": {"table: meta_device\ndata: {a: 1}\n", ":2: data is not a list"},
		"not a mapping":   {"- a\n- b\n", ": not a mapping with the keys table and data"},
		"key given twice": {"table: a\ntable: b\n", ":2: the key table is there twice"},
		"a table of none": {"table: [a]\n", ":1: table is not a name"},
		"Latin-1": {"table: meta_device\ndata:\n  - {id: Z\xfcrich}\n",
			":3: not UTF-8 (perhaps Latin-1): save the file as UTF-8"},
		"unknown anchor":  {"table: a\ndata:\n  - &a {id: x}\n  - *b\n", ":4: "},
		"syntax":          {"table: meta_device\ndata:\n  - {id: a\n", ":3: "},
		"tab for a space": {"table: meta_device\ndata:\n\t- id: a\n", ":3: "},
	} {
		path := write(t, c.text)
		_, err := Read(path)
		if err == nil || !strings.HasPrefix(err.Error(), path+c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line with %s", name, err, c.want)
		}
	}
	if _, err := Read(filepath.Join(t.TempDir(), "missing.yml")); !os.IsNotExist(err) {
		t.Errorf("missing file: %v", err)
	}
}

func TestAdditions(t *testing.T) {
	path := write(t, "data:\n  - {id: 64496, name: ours}\n  - {name: nameless}\n")
	var problems []string
	got, err := Additions(path, func(p record.Problem) { problems = append(problems, p.String()) })
	if err != nil || len(got) != 1 || got[0].ID != "64496" || got[0].Record["name"] != "ours" {
		t.Errorf("%+v, %v", got, err)
	}
	if diff := cmp.Diff([]string{path + ":3: id: missing"}, problems); diff != "" {
		t.Error(diff)
	}
	if got, err := Additions("", nil); got != nil || err != nil {
		t.Errorf("no file: %v, %v", got, err)
	}
}
