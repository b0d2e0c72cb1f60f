package metadata

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/metadata/record"
	"github.com/metranova/flow-collector/sink/schema"
)

func setOf(table, source string, records ...record.Raw) record.Set {
	return record.Set{Table: table, Source: source,
		Each: func(yield func(record.Raw, string) error, _ func(record.Problem)) error {
			for i, r := range records {
				if err := yield(r, "line "+strconv.Itoa(i+1)); err != nil {
					return err
				}
			}
			return nil
		}}
}

func mustLoad(t testing.TB, l *Loader, s ...record.Set) []Result {
	t.Helper()
	results, err := l.Load(context.Background(), s...)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func refsOf(t testing.TB, conn driver.Conn, table, column string) map[string]string {
	t.Helper()
	refs := map[string]string{}
	for ref, row := range queryLines(t, conn, "SELECT ref, "+column+" AS c FROM "+table) {
		refs[ref], _ = row["c"].(string)
	}
	return refs
}

func mustBuild(t testing.TB, conn driver.Conn, settings schema.Settings) *enrich.Snapshot {
	t.Helper()
	s, err := BuildFromTables(context.Background(), conn, settings)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func hasDevice(s *enrich.Snapshot, address string) bool {
	_, ok := s.LookupDevice(netip.MustParseAddr(address))
	return ok
}

func device(id, loopback string) record.Raw {
	return record.Raw{"id": id, "type": "router", "loopback_ip": []any{loopback}}
}

// TestLoad loads what changes over time into one store; each case has records of its own.
func TestLoad(t *testing.T) {
	conn, settings := openStore(t)
	newLoader := func() *Loader { return NewLoader(conn, settings) }

	t.Run("references are found whatever the order of the sets (Q19)", func(t *testing.T) {
		iface := setOf(record.Interface, "q19", record.Raw{"id": "q19::1", "device_id": "q19", "name": "1",
			"type": "port"})
		results := mustLoad(t, newLoader(), iface, setOf(record.Device, "q19", device("q19", "192.0.2.19")))
		if results[0].Table != record.Device {
			t.Errorf("loaded %s first, want meta_device", results[0].Table)
		}
		if got := refsOf(t, conn, record.Interface, "device_ref")["q19::1__v1"]; got != "q19__v1" {
			t.Errorf("device_ref %q, want q19__v1", got)
		}
	})

	t.Run("a changed target gives those that refer to it a new version too (Q20)", func(t *testing.T) {
		circuit := func(id, parent, state string) record.Raw {
			r := record.Raw{"id": id, "endpoint_id": []any{"a", "b"}, "endpoint_type": []any{"device", "device"},
				"state": state}
			if parent != "" {
				r["parent_circuit_id"] = parent
			}
			return r
		}
		mustLoad(t, newLoader(), setOf(record.Circuit, "q20", circuit("top", "", "up"), circuit("middle", "top", "up"),
			circuit("leaf", "middle", "up"), circuit("other", "", "up")))
		result := mustLoad(t, newLoader(), setOf(record.Circuit, "q20", circuit("leaf", "middle", "up"),
			circuit("middle", "top", "up"), circuit("top", "", "down"), circuit("other", "", "up")))[0]
		want := map[string]string{
			"top__v1": "", "middle__v1": "top__v1", "leaf__v1": "middle__v1", "other__v1": "",
			"top__v2": "", "middle__v2": "top__v2", "leaf__v2": "middle__v2",
		}
		got := refsOf(t, conn, record.Circuit, "parent_circuit_ref")
		if diff := cmp.Diff(want, got); diff != "" || result.Written != 3 || result.Unchanged != 1 {
			t.Errorf("%+v (-want +got):\n%s", result, diff)
		}
	})

	t.Run("list references to records of other sets keep their refs (Q20)", func(t *testing.T) {
		port := func(id string) record.Raw {
			return record.Raw{"id": id, "device_id": "lagdev", "name": id, "type": "port"}
		}
		lag := port("lag")
		lag["lag_member_interface_id"] = []any{"member", "ghost"}
		mustLoad(t, newLoader(), setOf(record.Interface, "members", port("member")))
		mustLoad(t, newLoader(), setOf(record.Interface, "lags", lag))
		row := queryLines(t, conn,
			"SELECT ref, lag_member_interface_ref FROM meta_interface WHERE id = 'lag'")["lag__v1"]
		if diff := cmp.Diff([]any{"member__v1", nil}, row["lag_member_interface_ref"]); diff != "" {
			t.Error(diff)
		}
	})

	t.Run("sets of one load refer to each other, and a second load writes nothing (Q19)", func(t *testing.T) {
		port := func(id, remote string) record.Raw {
			return record.Raw{"id": id, "device_id": "pair", "name": id, "type": "port", "remote_interface_id": remote}
		}
		a, b := setOf(record.Interface, "pair-a", port("pair-a", "pair-b")),
			setOf(record.Interface, "pair-b", port("pair-b", "pair-a"))
		mustLoad(t, newLoader(), a, b)
		refs := refsOf(t, conn, record.Interface, "remote_interface_ref")
		if refs["pair-a__v1"] != "pair-b__v1" || refs["pair-b__v1"] != "pair-a__v1" {
			t.Errorf("%v", refs)
		}
		for _, r := range mustLoad(t, newLoader(), a, b) {
			if r.Written != 0 || r.Unchanged != 1 {
				t.Errorf("second load: %+v", r)
			}
		}
	})

	t.Run("of two sets with one id the first counts, and a second load writes nothing", func(t *testing.T) {
		for _, table := range []string{record.Device, record.Circuit} {
			raw := func(id, state string) record.Raw {
				return record.Raw{"id": id, "type": "x", "state": state, "endpoint_id": []any{"a", "b"},
					"endpoint_type": []any{"a", "b"}}
			}
			a, b := setOf(table, "first", raw("both", "a"), raw("a", "a")),
				setOf(table, "second", raw("both", "b"), raw("b", "b"))
			for n, want := range []int{2, 0} {
				results := mustLoad(t, newLoader(), a, b)
				if results[0].Written != want || results[1].Problems != 1 ||
					results[0].Vanished+results[1].Vanished != 0 {
					t.Errorf("%s, load %d: %+v", table, n+1, results)
				}
			}
			if got := refsOf(t, conn, table, "state")["both__v1"]; got != "a" {
				t.Errorf("%s: state %q, want a", table, got)
			}
			// When the first one drops it, the second one's counts.
			mustLoad(t, newLoader(), setOf(table, "first", raw("a", "a")), b)
			if got := refsOf(t, conn, table, "state")["both__v2"]; got != "b" {
				t.Errorf("%s: state of the next version %q, want b", table, got)
			}
			// The second one still has what it is listed with, even where it does not count; then it drops it.
			if results := mustLoad(t, newLoader(), a, b); results[0].Vanished+results[1].Vanished != 0 {
				t.Errorf("%s: %+v, want none vanished", table, results)
			}
			if results := mustLoad(t, newLoader(), a,
				setOf(table, "second", raw("b", "b"))); results[0].Vanished != 0 || results[1].Vanished != 1 {
				t.Errorf("%s: %+v, want 1 of the second one vanished", table, results)
			}
		}
	})

	t.Run("a record that no source has any more stops matching, and matches again when it is back (Q15)",
		func(t *testing.T) {
			a, b := device("a15", "192.0.2.151"), device("b15", "192.0.2.152")
			mustLoad(t, newLoader(), setOf(record.Device, "one", a, b))
			mustLoad(t, newLoader(), setOf(record.Device, "two", b))
			if r := mustLoad(t, newLoader(), setOf(record.Device, "one", b))[0]; r.Vanished != 1 || r.Written != 0 {
				t.Errorf("%+v, want 1 vanished and nothing written", r)
			}
			s := mustBuild(t, conn, settings)
			if hasDevice(s, "192.0.2.151") || !hasDevice(s, "192.0.2.152") {
				t.Error("want a15 gone and b15 there")
			}
			mustLoad(t, newLoader(), setOf(record.Device, "two", a))
			s = mustBuild(t, conn, settings)
			if !hasDevice(s, "192.0.2.151") || !hasDevice(s, "192.0.2.152") {
				t.Error("want a15 back (from two) and b15 still there (from one)")
			}
			if n, err := newLoader().Forget(context.Background(), "one"); err != nil || n != 1 {
				t.Errorf("Forget: %d, %v, want 1", n, err)
			}
			if hasDevice(mustBuild(t, conn, settings), "192.0.2.152") {
				t.Error("b15 still matches after its last source was forgotten")
			}
			if rows := queryLines(t, conn, "SELECT ref FROM meta_device WHERE id IN ('a15', 'b15')"); len(rows) != 2 {
				t.Errorf("%d rows, want the 2 that were written: none deleted, none written again", len(rows))
			}
		})

	t.Run("a record that goes bad keeps its last good version", func(t *testing.T) {
		mustLoad(t, newLoader(), setOf(record.Device, "typo", device("typo1", "192.0.2.161"),
			device("typo2", "192.0.2.162")))
		r := mustLoad(t, newLoader(), setOf(record.Device, "typo", device("typo1", "192.0.2.16l"),
			device("typo2", "192.0.2.162")))[0]
		if r.Problems != 1 || r.Vanished != 0 || !hasDevice(mustBuild(t, conn, settings), "192.0.2.161") {
			t.Errorf("%+v, want 1 problem and typo1 in force", r)
		}
		// The same where the source itself finds the fault.
		broken := record.Set{Table: record.Device, Source: "typo",
			Each: func(yield func(record.Raw, string) error, report func(record.Problem)) error {
				report(record.Problem{Place: "line 1", ID: "typo1", Reason: "duplicate key"})
				return yield(device("typo2", "192.0.2.162"), "line 2")
			}}
		if r := mustLoad(t, newLoader(), broken)[0]; r.Problems != 1 || r.Vanished != 0 {
			t.Errorf("%+v, want 1 problem and none vanished", r)
		}
	})

	t.Run("one bad record costs that record, a second record with an id is left out", func(t *testing.T) {
		var problems []string
		l := newLoader()
		l.Report = func(p record.Problem) { problems = append(problems, p.String()) }
		r := mustLoad(t, l, setOf(record.Device, "bad", device("good1", "192.0.2.1"), record.Raw{"id": "untyped"},
			device("good1", "192.0.2.2"), record.Raw{"id": "odd", "type": map[string]any{}},
			device("good2", "192.0.2.3")))[0]
		want := []string{
			"line 2: untyped: type: missing",
			"line 3: good1: another record with this id comes before it; this one is left out",
			"line 4: odd: type: a mapping instead of a text",
		}
		if diff := cmp.Diff(want, problems); diff != "" || r.Written != 2 {
			t.Errorf("%+v (-want +got):\n%s", r, diff)
		}
	})

	t.Run("a source that lacks most of what it had is not believed", func(t *testing.T) {
		var many []record.Raw
		for i := range 150 {
			many = append(many, device("many"+strconv.Itoa(i), "198.51.100."+strconv.Itoa(i)))
		}
		mustLoad(t, newLoader(), setOf(record.Device, "many", many...))
		results, err := newLoader().Load(context.Background(), setOf(record.Device, "many", many[:20]...))
		if err == nil || !strings.Contains(err.Error(), "130 of 150 records are missing") ||
			results[0].VanishedRefused != 130 {
			t.Errorf("%v, %v", results, err)
		}
		if !hasDevice(mustBuild(t, conn, settings), "198.51.100.149") {
			t.Error("a device that is missing from the broken source does not match any more")
		}
		l := newLoader()
		l.AllowShrink = true
		if r := mustLoad(t, l, setOf(record.Device, "many", many[:20]...))[0]; r.Vanished != 130 {
			t.Errorf("%+v, want 130 vanished", r)
		}
	})

	t.Run("an empty set changes nothing and is an error", func(t *testing.T) {
		_, err := newLoader().Load(context.Background(), setOf(record.Device, "q19"))
		if err == nil || !strings.Contains(err.Error(), "q19: load meta_device: not one correct record") {
			t.Errorf("%v", err)
		}
		if !hasDevice(mustBuild(t, conn, settings), "192.0.2.19") {
			t.Error("the device of the source does not match any more")
		}
		// One that never had any, such as a file of comments, is none; nor is one that may be empty, whose records
		// vanish.
		mustLoad(t, newLoader(), setOf(record.Device, "nothing yet"))
		origin := record.Raw{"id": "o", "ip_subnet": []any{"192.0.2.0/24"}, "as_id": 64496}
		mustLoad(t, newLoader(), setOf(record.ASPrefix, "origins", origin))
		emptied := setOf(record.ASPrefix, "origins")
		emptied.MayBeEmpty = true
		if r := mustLoad(t, newLoader(), emptied)[0]; r.Vanished != 1 {
			t.Errorf("%+v, want 1 vanished", r)
		}
	})

	t.Run("a forced update gives old and new records a version (Q21)", func(t *testing.T) {
		mustLoad(t, newLoader(), setOf(record.Device, "forced", device("forced1", "192.0.2.171")))
		l := newLoader()
		l.ForceUpdate = true
		mustLoad(t, l, setOf(record.Device, "forced", device("forced1", "192.0.2.171"),
			device("forced2", "192.0.2.172")))
		refs := refsOf(t, conn, record.Device, "id")
		for _, ref := range []string{"forced1__v1", "forced1__v2", "forced2__v1"} {
			if refs[ref] == "" {
				t.Errorf("no row with the ref %s", ref)
			}
		}
		// Both versions may be of one second: the number decides.
		if d,
			_ := mustBuild(t, conn, settings).LookupDevice(netip.MustParseAddr("192.0.2.171")); d.Ref != "forced1__v2" {
			t.Errorf("%s is in force, want forced1__v2", d.Ref)
		}
	})

	t.Run("rows of another program match until a source takes them over and drops them", func(t *testing.T) {
		if err := conn.Exec(context.Background(),
			"INSERT INTO meta_device (id, ref, hash, type, loopback_ip) VALUES ('foreign', 'foreign__v7', 'x', "+
				"'router', ['192.0.2.181'])"); err != nil {
			t.Fatal(err)
		}
		if d,
			_ := mustBuild(t, conn, settings).LookupDevice(netip.MustParseAddr("192.0.2.181")); d.Ref != "foreign__v7" {
			t.Errorf("%+v, want foreign__v7", d)
		}
		mustLoad(t, newLoader(), setOf(record.Device, "takeover", device("foreign", "192.0.2.182"),
			device("stays", "192.0.2.183")))
		if d,
			_ := mustBuild(t, conn, settings).LookupDevice(netip.MustParseAddr("192.0.2.182")); d.Ref != "foreign__v8" {
			t.Errorf("%+v, want foreign__v8", d)
		}
		mustLoad(t, newLoader(), setOf(record.Device, "takeover", device("stays", "192.0.2.183")))
		if hasDevice(mustBuild(t, conn, settings), "192.0.2.182") {
			t.Error("foreign still matches")
		}
	})

	t.Run("applications that vanish are not known any more", func(t *testing.T) {
		app := func(id string, port int) record.Raw {
			return record.Raw{"id": id, "protocol": "tcp", "port_range_min": port, "port_range_max": port,
				"ext": map[string]any{"n": 1}}
		}
		apps := setOf(record.Application, "apps", app("one", 7001), app("two", 7002))
		mustLoad(t, newLoader(), apps)
		if r := mustLoad(t, newLoader(), apps)[0]; r.Written != 0 {
			t.Errorf("%+v: the second load wrote something", r)
		}
		mustLoad(t, newLoader(), setOf(record.Application, "apps", app("one", 7001)))
		s := mustBuild(t, conn, settings)
		if len(s.LookupApplications("tcp", 7001)) != 1 || len(s.LookupApplications("tcp", 7002)) != 0 {
			t.Error("want one known and two not")
		}
	})

	t.Run("show says what matched, whose it is and why", func(t *testing.T) {
		mustLoad(t, newLoader(),
			setOf(record.Organization, "show", record.Raw{"id": "o1", "name": "Org One"}),
			setOf(record.AS, "show", record.Raw{"id": 64500, "name": "AS-ONE", "organization_id": "o1"}),
			setOf(record.IP, "show", record.Raw{"id": "net1", "ip_subnet": []any{[]any{"203.0.113.0", 24}},
				"as_id": 64500}),
			setOf(record.Device, "show", device("showdev", "203.0.113.9")))
		s := mustBuild(t, conn, settings)
		findings, err := Show(context.Background(), conn, settings, s, "203.0.113.9")
		if err != nil {
			t.Fatal(err)
		}
		got := map[string][3]string{}
		for _, f := range findings {
			got[f.Column] = [3]string{f.Value, f.Match, f.Source}
		}
		want := map[string][3]string{
			"src_ip_ref":        {"net1__v1", "203.0.113.0/24", "show"},
			"src_as_id":         {"64500", "203.0.113.0/24", ""},
			"src_as_ref":        {"64500__v1", "203.0.113.0/24", "show"},
			"meta_organization": {"o1__v1", "o1", "show"},
			"src_ip_scireg_ref": {"", "", ""},
			"device_id":         {"showdev", "203.0.113.9", "show"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for what, column := range map[string]string{"AS64500": "src_as_ref", "showdev": "device_ref"} {
			findings, err := Show(context.Background(), conn, settings, s, what)
			if err != nil || !slices.ContainsFunc(findings,
				func(f Finding) bool { return f.Column == column && f.Source == "show" }) {
				t.Errorf("%s: %+v, %v", what, findings, err)
			}
		}
		// The AS of a block is only for addresses that a prefix holds.
		mustLoad(t, newLoader(), setOf(record.ASPrefix, "show",
			record.Raw{"id": "100.64.0.0/10", "ip_subnet": []any{"100.64.0.0/10"}, "as_id": 64500}))
		findings, err = Show(context.Background(), nil, settings, mustBuild(t, conn, settings), "100.64.0.1")
		if err != nil || !slices.ContainsFunc(findings,
			func(f Finding) bool { return f.Column == "src_as_id" && f.Value == "0" }) {
			t.Errorf("%+v, %v, want AS 0", findings, err)
		}
		if _, err := Show(context.Background(), conn, settings, s, "no such thing"); err == nil {
			t.Error("no error for what is nothing")
		}
	})
}
