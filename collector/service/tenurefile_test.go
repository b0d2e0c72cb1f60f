package service

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/metranova/flow-collector/collector/listen"
)

// Tenures are read back as they were written, but for those of sources that were silent for too long.
func TestTenureFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "caches", "tenures.json")
	now := time.Now()
	source := func(address string, seconds uint16, ago time.Duration) listen.Tenure {
		return listen.Tenure{Source: netip.MustParseAddr(address), Seconds: seconds, Latest: now.Add(-ago).UnixNano()}
	}
	core, logs := observer.New(zap.WarnLevel)
	f := openTenureFile(path, 24*time.Hour, zap.New(core))
	if err := f.write(now); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("there is a file without a source")
	}
	first, second := source("2001:db8::1", 3600, time.Minute), source("192.0.2.1", 60, time.Second)
	f.put(0, []listen.Tenure{second, source("192.0.2.3", 9, 25*time.Hour)})
	f.put(1, []listen.Tenure{first, source("192.0.2.1", 5, 0)}) // of another worker, in the last run
	if err := f.write(now); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the file is %v: %v", info.Mode(), err)
	}
	f = openTenureFile(path, 24*time.Hour, zap.New(core))
	if want := []listen.Tenure{first, second}; !reflect.DeepEqual(f.earlier, want) {
		t.Errorf("read %+v, want %+v", f.earlier, want)
	}
	heard := source("192.0.2.1", 90, 0)
	f.put(0, []listen.Tenure{heard})
	if err := f.write(now); err != nil {
		t.Fatal(err)
	}
	f = openTenureFile(path, 24*time.Hour, zap.New(core))
	if want := []listen.Tenure{first, heard}; !reflect.DeepEqual(f.earlier, want) {
		t.Errorf("read %+v after the second run, want %+v", f.earlier, want)
	}
	if logs.Len() > 0 {
		t.Errorf("said %v", logs.All())
	}
	for _, text := range []string{
		`{"version":1,"sources":[{"source":"192.0.2.1",`, `{"version":2,"sources":[]}`, "[]",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f := openTenureFile(path, 24*time.Hour, zap.New(core))
		if n := len(f.earlier); n != 0 || len(logs.TakeAll()) != 1 {
			t.Errorf("%q: %d sources, or not one line", text, n)
		}
	}
}

// FuzzTenureFile reads anything as the file of tenures. What is used of it is written again, and read as it is.
func FuzzTenureFile(f *testing.F) {
	f.Add([]byte(`{"version":1,"sources":[{"source":"192.0.2.1","seconds":60,"latest":1700000000000000000},` +
		`{"source":"2001:db8::1","seconds":65535,"latest":9223372036854775807}]}`))
	f.Add([]byte(`{"version":1,"sources":[{"source":"fe80::1%eth0"},{"source":""},{},null,{"seconds":65536}]}`))
	f.Add([]byte(`{"sources":[{}],"version":2}`))
	path := filepath.Join(f.TempDir(), "tenures.json")
	now := time.Unix(1_700_000_000, 0)
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		read := func() *tenureFile {
			file := &tenureFile{path: path, expiry: 24 * time.Hour}
			all, err := file.read()
			if err != nil && all != nil {
				t.Errorf("%d sources with the error %v", len(all), err)
			}
			file.earlier = file.current(all, now)
			return file
		}
		file := read()
		for _, x := range file.earlier {
			if x.Latest > now.UnixNano() {
				t.Errorf("%+v was heard in the future, and would stay until then", x)
			}
		}
		listen.NewShare().Restore(file.earlier)
		if err := file.write(now); err != nil {
			t.Fatal(err)
		}
		if again := read(); !reflect.DeepEqual(again.earlier, file.earlier) {
			t.Errorf("read %+v again, want %+v", again.earlier, file.earlier)
		}
	})
}
