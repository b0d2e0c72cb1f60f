package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/service"
	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/sink/golden"
	"github.com/metranova/flow-collector/sink/schema"
)

// What a day has is the same after export and import, in every column; importing again stores nothing twice, and a file
// that was changed is refused.
func TestExportAndImport(t *testing.T) {
	cfg := testkit.Config(t)
	captures, err := filepath.Glob(filepath.Join(golden.Repository(t), "bench", "testdata", "*.pcap"))
	if err != nil || len(captures) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	o := service.ReplayOptions{Once: true, ShiftToNow: true}
	if err := service.Replay(cfg, zap.NewNop(), make(chan os.Signal), captures, o, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	conn, settings, done, err := openTables(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	day, err := time.Parse(time.DateOnly, testkit.Ask(t, cfg,
		"SELECT toString(toDate(start_time, 'UTC')) AS day FROM data_flow GROUP BY day ORDER BY count() DESC LIMIT 1"))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	archiver := &archiver{conn: conn, settings: settings, rows: 200, out: &out}
	dir := filepath.Join(t.TempDir(), "archive")
	if err := archiver.export(t.Context(), day, dir); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.parquet"))
	if err != nil || len(files) < 2 {
		t.Fatalf("%d files: the test needs several; %v", len(files), err)
	}
	if err := archiver.export(t.Context(), day, dir); err == nil {
		t.Error("an archive is overwritten")
	}
	compare := func() {
		t.Helper()
		const columns = "* EXCEPT (insert_time, ext), toJSONString(ext)"
		rows := "SELECT " + columns + " FROM data_flow WHERE toDate(start_time, 'UTC') = '" +
			day.Format(time.DateOnly) + "'"
		archived := "SELECT " + columns + " FROM " + schema.ArchiveTable
		// EXCEPT compares rows once each; the counts are compared beside.
		got := testkit.Ask(t, cfg, "SELECT (SELECT count() FROM ("+rows+")) > 100, (SELECT count() FROM ("+rows+
			")) - (SELECT count() FROM ("+archived+")), (SELECT count() FROM ("+rows+" EXCEPT "+archived+
			")), (SELECT count() FROM ("+archived+" EXCEPT "+rows+"))")
		if got != "1\t0\t0\t0" {
			t.Errorf("rows, rows more than in the archive's table, rows of one alone: %q", got)
		}
	}
	for range 2 {
		if err := archiver.load(t.Context(), dir, schema.ArchiveTable); err != nil {
			t.Fatal(err)
		}
		compare()
	}
	if got := strings.Count(out.String(), ", stored already ("); got != len(files) ||
		!strings.Contains(out.String(), "\n0 rows of ") {
		t.Errorf("of the second time it says %q", out.String())
	}
	if !strings.Contains(out.String(), "(1 of ") || !strings.Contains(out.String(), "bytes a row") {
		t.Errorf("it says %q", out.String())
	}

	for name, damage := range map[string]func(*testing.T){
		"its checksum is": func(t *testing.T) {
			data, err := os.ReadFile(files[1])
			if err != nil {
				t.Fatal(err)
			}
			data[len(data)/2] ^= 1
			if err := os.WriteFile(files[1], data, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"not the name of a file": func(t *testing.T) {
			a, err := readArchive(dir)
			if err != nil {
				t.Fatal(err)
			}
			a.Files[0].Name = "../" + a.Files[0].Name
			text, err := json.Marshal(a)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, archiveManifest), text, 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			manifest := filepath.Join(dir, archiveManifest)
			whole, err := os.ReadFile(manifest)
			if err != nil {
				t.Fatal(err)
			}
			damage(t)
			if err := archiver.load(t.Context(), dir, schema.ArchiveTable); err == nil ||
				!strings.Contains(err.Error(), name) {
				t.Errorf("error %v", err)
			}
			if err := os.WriteFile(manifest, whole, 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
	compare()
	if err := conn.Exec(t.Context(), "DELETE FROM "+schema.ArchiveTable+" WHERE 1"); err != nil {
		t.Fatal(err)
	}
	if err := archiver.load(t.Context(), dir, schema.ArchiveTable); err == nil ||
		!strings.Contains(err.Error(), schema.ArchiveTable+" has 0 of its ") {
		t.Errorf("after the rows were deleted: error %v", err)
	}
	archiver.out = writerFunc(func() error {
		return conn.Exec(t.Context(), "INSERT INTO data_flow (start_time) VALUES ('"+day.Format(time.DateTime)+"')")
	})
	late := filepath.Join(t.TempDir(), "late")
	if err := archiver.export(t.Context(), day, late); err == nil ||
		!strings.Contains(err.Error(), "rows came or went meanwhile") {
		t.Errorf("with rows that come meanwhile: error %v", err)
	}
	if _, err := os.Stat(filepath.Join(late, archiveManifest)); err == nil {
		t.Error("the manifest of an archive that may lack rows is there")
	}
	archiver.out = &out
	if err := os.Remove(filepath.Join(dir, archiveManifest)); err != nil {
		t.Fatal(err)
	}
	if err := archiver.load(t.Context(), dir, schema.ArchiveTable); err == nil ||
		!strings.Contains(err.Error(), "not a whole one") {
		t.Errorf("without its manifest: error %v", err)
	}
}

// writerFunc is called for what is written.
type writerFunc func() error

func (f writerFunc) Write(p []byte) (int, error) { return len(p), f() }
