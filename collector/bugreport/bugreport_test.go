package bugreport

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// The archive has each part, and no secret in whatever form it stands there.
func TestWrite(t *testing.T) {
	texts := []string{
		"clickhouse.password: (hidden)\nplain hunter2 in a line\n",
		"CLICKHOUSE_PASSWORD=other1\nKAFKA_SASL_PASSWORD='other2'\n",
		"SOURCE(CLICKHOUSE(USER 'flow' PASSWORD 'other3' DB 'x'))\n",
		"https://user:other4@registry.example/x.json?token=other5&a=1\n",
		`{"password": "other6", "n": 1}` + "\n",
	}
	parts := []Part{{"broken.txt", func() ([]byte, error) { return []byte("half"), errors.New("it failed") }}}
	for i, text := range texts {
		parts = append(parts, Part{string(rune('a'+i)) + ".txt", func() ([]byte, error) { return []byte(text), nil }})
	}
	var out bytes.Buffer
	names, err := Write(&out, time.Unix(0, 0), []string{"hunter2", "", "x"}, parts)
	if err != nil || len(names) != len(parts) {
		t.Fatalf("%v, %v", names, err)
	}
	zipped, err := gzip.NewReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	archive, all := tar.NewReader(zipped), ""
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		all += header.Name + "\n" + string(text)
	}
	if strings.Contains(all, "hunter2") || strings.Contains(all, "other") {
		t.Errorf("a secret is in\n%s", all)
	}
	for _, part := range []string{"flow-collector-19700101-000000/a.txt", "half\nnot available: it failed",
		"plain (hidden) in a line", "registry.example/x.json", `"n": 1`, "DB 'x'"} {
		if !strings.Contains(all, part) {
			t.Errorf("no %q in\n%s", part, all)
		}
	}
}
