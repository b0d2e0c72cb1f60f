package download

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// plain is a server without a network. It takes the requests that Go's client would send.
type plain struct{ asked int }

func (p *plain) RoundTrip(r *http.Request) (*http.Response, error) {
	p.asked++
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Status: "200 OK", Header: http.Header{"Etag": {"\"2\""}},
		ContentLength: 3, Body: io.NopCloser(strings.NewReader("new")), Request: r}, nil
}

// FuzzValidators has anything as the file of validators beside a file. Whatever it says, the file is downloaded.
func FuzzValidators(f *testing.F) {
	const address = "https://feeds.example/x.json"
	f.Add([]byte(`{"version":1,"url":"https://feeds.example/x.json","etag":"\"1\"","last_modified":` +
		`"Mon, 02 Mar 2026 10:00:00 GMT"}`))
	f.Add([]byte(`{"url":"https://feeds.example/x.json","etag":"a\nHost: b"}`))
	f.Add([]byte(`{"url":"https://feeds.example/x.json","last_modified":"\u0000"}`))
	f.Add([]byte(`{"version":2,"url":"https://feeds.example/x.json","etag":"1"}`))
	f.Add([]byte(`{"url":`))
	path := filepath.Join(f.TempDir(), "x.json")
	server := &plain{}
	c := New(Options{Retries: -1, Transport: server})
	f.Fuzz(func(t *testing.T, data []byte) {
		for name, text := range map[string][]byte{path: []byte("old"), validatorsPath(path): data} {
			if err := os.WriteFile(name, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		v := readValidators(path, address)
		for _, text := range []string{v.ETag, v.LastModified} {
			if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				t.Errorf("%q is sent", text)
			}
		}
		if changed, err := c.File(context.Background(), address, path, Auth{}, nil); !changed || err != nil {
			t.Fatalf("changed %v: %v", changed, err)
		}
		if text, err := os.ReadFile(path); string(text) != "new" {
			t.Errorf("the file has %q: %v", text, err)
		}
	})
}
