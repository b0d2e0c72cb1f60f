package metadata

import (
	"archive/zip"
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/metadata/download"
	"github.com/metranova/flow-collector/metadata/record"
)

func quickClient() *download.Client {
	return download.New(download.Options{Retries: -1, WaitMin: time.Millisecond})
}

func zipOf(t testing.TB, members map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range members {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// idsOf are the tables and ids of the records of sets, in their order.
func idsOf(t testing.TB, sets []record.Set) string {
	t.Helper()
	var ids []string
	for _, s := range sets {
		err := s.Each(func(r record.Raw, _ string) error {
			ids = append(ids, fmt.Sprint(s.Table, " ", r["id"]))
			return nil
		}, func(p record.Problem) { t.Errorf("problem: %s", p) })
		if err != nil {
			t.Error(err)
		}
	}
	return strings.Join(ids, ", ")
}
