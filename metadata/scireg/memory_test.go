package scireg

import (
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/metadata/bounds/boundstest"
	"github.com/metranova/flow-collector/metadata/record"
)

// TestMemory reads lists of 64 MiB, which are some 60 KB on the wire: none takes more than 128 MiB of memory.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 64 MiB in six forms")
	}
	const start, good = `{"scireg_id":1,"addresses":[`, `"::1"`
	for _, test := range []struct{ name, entry, want string }{
		{"numbers as entries", strings.Repeat("0,", 5000), "more than 10000 entries are wrong"},
		{"numbers as addresses", start + strings.Repeat("0,", maxEntry/2-100) + "0]},",
			"more than 100000 addresses are wrong"},
		{"lists as addresses", start + strings.Repeat("[],", maxEntry/3-100) + "0]},",
			"more than 100000 addresses are wrong"},
		{"a good address in each entry", start + good + strings.Repeat(",0", 1000) + "]},",
			"more than 100000 addresses are wrong"},
		{"addresses", start + strings.Repeat(good+",", maxEntry/6-100) + good + "]},", "more than 1000000 addresses"},
		{"useless entries", start + good + "]}," + strings.Repeat("{},", 5000), "more than 10000 entries are wrong"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "scireg.json.gz")
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			z := gzip.NewWriter(f)
			_, err = z.Write([]byte("["))
			for n := 0; n < MaxBytes && err == nil; n += len(test.entry) {
				_, err = z.Write([]byte(test.entry))
			}
			if err != nil || z.Close() != nil || f.Close() != nil {
				t.Fatal(err)
			}
			peak := boundstest.PeakHeap(func() {
				set, err := Read(path, "x")
				if err == nil {
					err = set.Each(func(record.Raw, string) error { return nil }, func(record.Problem) {})
				}
				if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%.1000v, want %s", err, test.want)
				}
			})
			t.Logf("%d MiB", peak>>20)
			if peak > 128<<20 {
				t.Errorf("%d MiB", peak>>20)
			}
		})
	}
}
