package metadata

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/metadata/record"
	"github.com/metranova/flow-collector/sink/schema"
)

// TestComeBack has records that vanish and come back as they were: what the server takes for a repeated insert must not
// be lost.
func TestComeBack(t *testing.T) {
	t.Parallel()
	conn, settings := openStore(t)
	load := func(sets ...record.Set) {
		t.Helper()
		l := NewLoader(conn, settings)
		mustLoad(t, l, sets...)
	}
	known := func(address string) bool { return hasDevice(mustBuild(t, conn, settings), address) }
	one, two := device("one", "192.0.2.1"), device("two", "192.0.2.2")
	load(setOf(record.Device, "s", one, two))
	for round := range 3 {
		load(setOf(record.Device, "s", one))
		if known("192.0.2.2") {
			t.Errorf("round %d: the removed device still matches", round)
		}
		load(setOf(record.Device, "s", one, two))
		if !known("192.0.2.2") {
			t.Errorf("round %d: the device that came back does not match", round)
		}
	}
	if got := refsOf(t, conn, record.Device, "id"); len(got) != 2 {
		t.Errorf("versions %v, want one of each device: it came back as it was", got)
	}

	// Changed and changed back: a third version, with the content of the first.
	load(setOf(record.Device, "s", one, device("two", "192.0.2.22")))
	load(setOf(record.Device, "s", one, two))
	if !known("192.0.2.2") || known("192.0.2.22") {
		t.Error("a device that was changed back is as it was in between")
	}

	// An application is no version but a row that is replaced.
	app := func(tag string) record.Raw {
		return record.Raw{"id": "web", "protocol": "tcp", "port_range_min": 80, "port_range_max": 80, "tag": []any{tag}}
	}
	for _, tag := range []string{"a", "b", "a", "b", "a"} {
		load(setOf(record.Application, "s", app(tag)))
		var is string
		if err := conn.QueryRow(t.Context(),
			"SELECT arrayStringConcat(tag) FROM meta_application FINAL").Scan(&is); err != nil || is != tag {
			t.Errorf("the application has tag %q, want %q (%v)", is, tag, err)
		}
	}

	// A table that the operator emptied is filled again, with the same versions as at first.
	if err := conn.Exec(t.Context(), "TRUNCATE TABLE meta_device"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		load(setOf(record.Device, "s", one, two))
		if !known("192.0.2.1") || !known("192.0.2.2") {
			t.Error("the devices of an emptied table do not match")
		}
		if err := conn.Exec(t.Context(), "DELETE FROM meta_device WHERE 1"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTwoLoaders has collectors that load the same change at once: each version is written once.
func TestTwoLoaders(t *testing.T) {
	t.Parallel()
	conn, settings := openStore(t)
	const records = 200
	for round := range 6 {
		var set []record.Raw
		for n := range records {
			set = append(set, device(fmt.Sprintf("d%d", n), fmt.Sprintf("192.0.%d.%d", round, n)))
		}
		loadAtOnce(t, conn, settings, 3, setOf(record.Device, "s", set...))
	}
	var rows, refs uint64
	if err := conn.QueryRow(t.Context(), "SELECT count(), uniqExact(ref) FROM meta_device").Scan(&rows,
		&refs); err != nil {
		t.Fatal(err)
	}
	if rows != 6*records || refs != rows {
		t.Errorf("%d rows of %d versions, want %d of each", rows, refs, 6*records)
	}
}

// loadAtOnce has loaders read the table's versions before any of them writes.
func loadAtOnce(t *testing.T, conn driver.Conn, settings schema.Settings, loaders int, set record.Set) {
	t.Helper()
	var ready, done sync.WaitGroup
	ready.Add(loaders)
	for range loaders {
		s := set
		s.Each = func(yield func(record.Raw, string) error, report func(record.Problem)) error {
			ready.Done() // the versions have been read by now
			ready.Wait()
			return set.Each(yield, report)
		}
		done.Go(func() {
			if _, err := NewLoader(conn, settings).Load(context.Background(), s); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
}

// TestDictionariesForget: what is renamed or removed is not named by the dictionaries any more.
func TestDictionariesForget(t *testing.T) {
	t.Parallel()
	conn, settings := openStore(t)
	app := func(id string) record.Raw {
		return record.Raw{"id": id, "protocol": "TCP", "port_range_min": 443, "port_range_max": 443}
	}
	as := record.Raw{"id": 64496, "name": "UNI-A", "organization_id": "a"}
	other := record.Raw{"id": 64497, "name": "UNI-B", "organization_id": "b"}
	for _, step := range []struct {
		name string
		sets []record.Set
		want string
	}{
		{"first", []record.Set{setOf(record.Application, "s", app("web")), setOf(record.AS, "s", as, other)},
			"web, UNI-A"},
		{"renamed", []record.Set{setOf(record.Application, "s", app("https"))}, "https, UNI-A"},
		{"renamed again", []record.Set{setOf(record.Application, "s", app("aeb"))}, "aeb, UNI-A"},
		{"removed", []record.Set{emptySet(record.Application), setOf(record.AS, "s", other)}, "none, none"},
		{"back", []record.Set{setOf(record.Application, "s", app("web")), setOf(record.AS, "s", as, other)},
			"web, UNI-A"},
	} {
		mustLoad(t, NewLoader(conn, settings), step.sets...)
		for _, statement := range settings.ReloadDictionaries() {
			if err := conn.Exec(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		var got string
		if err := conn.QueryRow(t.Context(),
			`SELECT concat(dictGetOrDefault('`+settings.Database+`.meta_application_dict', 'id', 'tcp', 443::UInt16, `+
				`'none'),
			', ', dictGetOrDefault('`+settings.Database+
				`.meta_as_dict', 'name', 64496, 'none'))`).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != step.want {
			t.Errorf("%s: the dictionaries say %s, want %s", step.name, got, step.want)
		}
	}
}

func emptySet(table string) record.Set {
	s := setOf(table, "s")
	s.MayBeEmpty = true
	return s
}
