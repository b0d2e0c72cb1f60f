package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/collector/testkit"
)

func TestMetadata_loadShowForget(t *testing.T) {
	cfg := testkit.Config(t)
	file := filepath.Join(t.TempDir(), "meta_device.yml")
	text := "table: meta_device\ndata:\n  - {id: r1, type: router, loopback_ip: [192.0.2.1]}\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := loadMetadata(t.Context(), cfg, []string{"files"}, []string{file}, false); err != nil {
		t.Fatal(err)
	}
	show := func() string {
		var out bytes.Buffer
		if err := showMetadata(t.Context(), cfg, []string{"192.0.2.1"}, &out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if got := show(); !strings.Contains(got, "r1__v1") || !strings.Contains(got, "file:"+file) {
		t.Errorf("the device is not shown with its source:\n%s", got)
	}
	var out bytes.Buffer
	if err := forgetMetadata(t.Context(), cfg, "file:"+file, &out); err != nil ||
		!strings.Contains(out.String(), ": 1 record forgotten") {
		t.Errorf("forgetting: %v, said %q", err, &out)
	}
	if got := show(); strings.Contains(got, "r1") {
		t.Errorf("a forgotten device matches:\n%s", got)
	}
}

func TestMetadata_badArguments(t *testing.T) {
	cfg := testkit.Config(t)
	for _, test := range []struct {
		name         string
		names, files []string
		want         string
	}{
		{"nothing", nil, nil, "which?"},
		{"a source that there is not", []string{"maxmind"}, nil, `no metadata source "maxmind"`},
		{"a source with nothing to read", []string{"scireg"}, nil, "names nothing to read"},
		{"a file for all", []string{"all"}, []string{"x.yml"}, "--file is for one source"},
		{"a file that is not there", []string{"files"}, []string{"/nonexistent.yml"}, "/nonexistent.yml"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := loadMetadata(t.Context(), cfg, test.names, test.files, false)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	var out bytes.Buffer
	if err := forgetMetadata(t.Context(), cfg, "nobody", &out); err == nil ||
		!strings.Contains(err.Error(), `"nobody"`) {
		t.Errorf("forgetting nobody: %v", err)
	}
	// Looking makes no store.
	path := filepath.Join(t.TempDir(), "data")
	none := testkit.ConfigFor(t, "STORE_PATH="+path, "STORE_LISTEN="+testkit.FreePort(t))
	for name, err := range map[string]error{"show": showMetadata(t.Context(), none, []string{"192.0.2.1"}, &out),
		"forget": forgetMetadata(t.Context(), none, "x", &out)} {
		if err == nil || !strings.Contains(err.Error(), "there is none in "+path) {
			t.Errorf("%s without a store: %v", name, err)
		}
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a store was made")
	}
}
