package caida

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/metadata/bounds/boundstest"
	"github.com/metranova/flow-collector/metadata/record"
)

// TestMemory reads a tenth of what the limits allow. All of it took 420 MiB.
func TestMemory(t *testing.T) {
	const share, most = 10, 64 << 20
	path := filepath.Join(t.TempDir(), "as.jsonl")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	out, name := bufio.NewWriterSize(f, 1<<20), strings.Repeat("x", maxText/(2*maxRecords)-20)
	for i := range maxRecords / share {
		fmt.Fprintf(out, `{"type":"Organization","organizationId":"O%d","name":"%s%d","country":"CH"}`+"\n", i, name, i)
		fmt.Fprintf(out, `{"type":"ASN","organizationId":"O%d","asn":"%d","name":"%s%d"}`+"\n", i, i+1, name, i)
	}
	if err := out.Flush(); err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	n := 0
	peak := boundstest.PeakHeap(func() {
		sets, err := Read(Files{AS2Org: path})
		if err != nil {
			t.Error(err)
		}
		for _, s := range sets {
			_ = s.Each(func(record.Raw, string) error { n++; return nil }, func(record.Problem) {})
		}
	})
	if n < 2*maxRecords/share || peak > most {
		t.Errorf("%d records took %d MiB", n, peak>>20)
	}
}
