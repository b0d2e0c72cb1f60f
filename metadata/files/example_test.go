package files

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/metadata/record"
)

func exampleDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join("..", "..", "conf.example")
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// examples are the records of a table's example file, by id, as rows of the table.
func examples(t *testing.T, table string) map[string]map[string]any {
	t.Helper()
	sets, err := Read(filepath.Join(exampleDir(t), table+".yml"))
	if err != nil {
		t.Fatal(err)
	}
	return rows(t, sets[0])
}

func rows(t *testing.T, s record.Set) map[string]map[string]any {
	t.Helper()
	all := map[string]map[string]any{}
	for _, table := range record.Tables() {
		if table.Name != s.Table {
			continue
		}
		columns := map[string]bool{}
		for _, c := range table.Columns {
			columns[c.Name] = true
		}
		if err := s.Each(func(r record.Raw, place string) error {
			row, err := table.Coerce(r, nil)
			if err != nil {
				t.Errorf("%s: %v", place, err)
				return nil
			}
			for name := range r {
				if !columns[name] {
					t.Errorf("%s: no column %s in %s", place, name, s.Table)
				}
			}
			id := table.ID(row)
			if all[id] != nil {
				t.Errorf("%s: a second record %s", place, id)
			}
			all[id] = map[string]any{}
			for i, c := range table.Columns {
				all[id][c.Name] = row[i]
			}
			return nil
		}, func(p record.Problem) { t.Error(p) }); err != nil {
			t.Fatal(err)
		}
	}
	if len(all) == 0 {
		t.Errorf("%s: no record", s.Source)
	}
	return all
}

// TestExamples reads the files of conf.example: every record is right, and what it refers to is there.
func TestExamples(t *testing.T) {
	devices, interfaces := examples(t, record.Device), examples(t, record.Interface)
	circuits, organizations := examples(t, record.Circuit), examples(t, record.Organization)
	examples(t, record.IP)
	refers := func(id string, to any, in map[string]map[string]any) {
		var ids []string
		switch to := to.(type) {
		case string:
			ids = append(ids, to)
		case []string:
			ids = to
		}
		for _, other := range ids {
			if in[other] == nil {
				t.Errorf("%s refers to %s, which is not there", id, other)
			}
		}
	}
	for id, i := range interfaces {
		refers(id, i["device_id"], devices)
		refers(id, i["circuit_id"], circuits)
		refers(id, i["remote_organization_id"], organizations)
		for _, column := range []string{"port_interface_id", "remote_interface_id", "lag_member_interface_id"} {
			refers(id, i[column], interfaces)
		}
	}
	for id, c := range circuits {
		refers(id, c["parent_circuit_id"], circuits)
		refers(id, c["endpoint_id"], merged(devices, interfaces, organizations))
	}
}

func merged(all ...map[string]map[string]any) map[string]map[string]any {
	m := map[string]map[string]any{}
	for _, one := range all {
		maps.Copy(m, one)
	}
	return m
}

// TestExampleAdditions has each record of the additions complete, as none of them is merged over anything.
func TestExampleAdditions(t *testing.T) {
	for name, table := range map[string]string{
		"custom_as_additions.yml": record.AS, "custom_org_additions.yml": record.Organization,
		"custom_ip_additions.yml": record.IP,
	} {
		additions, err := Additions(filepath.Join(exampleDir(t), name), func(p record.Problem) { t.Error(p) })
		if err != nil {
			t.Fatal(err)
		}
		rows(t, record.Set{Table: table, Source: name,
			Each: func(yield func(record.Raw, string) error, _ func(record.Problem)) error {
				for _, a := range additions {
					if err := yield(a.Record, a.Place); err != nil {
						return err
					}
				}
				return nil
			}})
	}
}

// TestExampleApplications looks for ports that must be known.
func TestExampleApplications(t *testing.T) {
	apps := examples(t, record.Application)
	if len(apps) < 250 {
		t.Errorf("%d applications", len(apps))
	}
	names := func(protocol string, port uint64) string {
		var found []string
		for _, a := range apps {
			low, high := a["port_range_min"].(uint64), a["port_range_max"].(uint64)
			if low > high || low == 0 {
				t.Errorf("%v: ports %d to %d", a["id"], low, high)
			}
			if a["protocol"] == protocol && low <= port && port <= high {
				found = append(found, fmt.Sprint(a["id"]))
			}
		}
		slices.Sort(found)
		return strings.Join(found, " ")
	}
	got := map[string]string{}
	want := map[string]string{
		"tcp 22": "ssh", "tcp 80": "http", "tcp 443": "https", "udp 443": "https", "udp 53": "domain",
		"tcp 2811":  "gridftp",
		"tcp 50000": "gridftp-data", "tcp 51000": "gridftp-data", "tcp 51001": "", "tcp 1094": "xrootd",
		"tcp 1095": "xrootd",
		"tcp 861":  "owamp-control", "udp 862": "twamp-control", "tcp 5301": "perfsonar", "tcp 5302": "",
		"tcp 5201": "iperf3 perfsonar", "tcp 5101": "nuttcp perfsonar", "tcp 9618": "htcondor", "tcp 8446": "fts-rest",
		"tcp 2223": "globus-personal",
	}
	for key := range want {
		protocol, port, _ := strings.Cut(key, " ")
		var n uint64
		_, _ = fmt.Sscan(port, &n)
		got[key] = names(protocol, n)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
