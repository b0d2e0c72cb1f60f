package metadata

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/metadata/record"
	"github.com/metranova/flow-collector/metadata/source"
	"github.com/metranova/flow-collector/metadata/tables"
	"github.com/metranova/flow-collector/sink/schema"
)

// TestRegistriesAreDistinct: sources have names of their own, and in the snapshot file a tag means one kind.
func TestRegistriesAreDistinct(t *testing.T) {
	names := map[string]bool{}
	for _, name := range SourceNames() {
		if names[name] {
			t.Errorf("two sources are called %s", name)
		}
		names[name] = true
	}
	tags := map[byte]string{source.EndTag: "the end"}
	for _, k := range fileKinds() {
		if other, taken := tags[k.Tag()]; taken || k.Tag() == 0 {
			t.Errorf("kind %s has the tag %d of %s", k.Name(), k.Tag(), other)
		}
		tags[k.Tag()] = k.Name()
	}
	settings := schema.Default()
	settings.SourceTables = SourceTables()
	if err := settings.Validate(); err != nil {
		t.Error(err)
	}
	record.Tables(settings.SourceTables...) // panics on a type that a record cannot fill
}

// blocklist is a registry with a table of its own: a file of prefixes, one a line.
func blocklist() *source.Registry {
	return &source.Registry{
		Name: "blocklist", MaxBytes: 1 << 20, Extension: ".txt",
		Table: &schema.MetadataTable{
			Name: schema.ExtensionTable("blocklist"), Label: "block list",
			Columns: []schema.MetadataColumn{
				schema.SubnetsColumn(),
				{Name: "reason", Type: "LowCardinality(Nullable(String))", Comment: "Why it is on the list."},
			},
		},
		Read: func(path, name string) (record.Set, error) {
			text, err := os.ReadFile(path)
			return record.Set{
				Table: schema.ExtensionTable("blocklist"), Source: "blocklist:" + name,
				Each: func(yield func(record.Raw, string) error, _ func(record.Problem)) error {
					for _, prefix := range strings.Fields(string(text)) {
						r := record.Raw{"id": prefix, "ip_subnet": []any{prefix}, "reason": "spam"}
						if err := yield(r, path); err != nil {
							return err
						}
					}
					return nil
				},
			}, err
		},
	}
}

// TestRegistryWithATable loads a registry from its description: the table is made, its records are versions, and a
// snapshot finds the prefixes, also after a restart from its file.
func TestRegistryWithATable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "blocklist.txt")
	writeFile(t, path, "192.0.2.0/24\n2001:db8::/32\n")
	registry := blocklist()
	conn, settings := openStore(t)
	settings.SourceTables = []schema.MetadataTable{*registry.Table}
	settings.IPRefExtensions = []string{registry.Name}
	if _, err := schema.Apply(context.Background(), conn, settings); err != nil {
		t.Fatal(err)
	}
	from, ok := registry.Source(source.RegistrySettings{Places: []string{path}}, t.TempDir(), nil)
	if !ok || from.Remote {
		t.Fatalf("source %v, remote %v", ok, from.Remote)
	}
	for _, want := range []int{2, 0} {
		sets, err := from.Read(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if got := mustLoad(t, NewLoader(conn, settings), sets...)[0]; got.Written != want {
			t.Errorf("%s, want %d new versions", got, want)
		}
	}
	file := filepath.Join(t.TempDir(), "snapshot")
	writeSnapshotFile(t, conn, settings, file)
	kept, err := LoadSnapshotFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*enrich.Snapshot{"tables": mustBuild(t, conn, settings), "file": kept} {
		if m, _ := s.LookupExtension("blocklist", netip.MustParseAddr("192.0.2.7")); m.Ref != "192.0.2.0/24__v1" {
			t.Errorf("from the %s: %+v", name, m)
		}
	}
	var reason string
	d := tables.Database{Conn: conn, Settings: settings}
	query := "SELECT ifNull(reason, '') FROM " + d.Name(registry.Table.Name) + " WHERE id = '2001:db8::/32'"
	if err := d.Rows(context.Background(), query, func(r *record.Reader) { reason = r.Text() }); err != nil ||
		reason != "spam" {
		t.Errorf("reason %q, %v", reason, err)
	}
}
