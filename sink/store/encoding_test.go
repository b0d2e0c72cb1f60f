package store_test

import (
	"bytes"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/sink/store"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

// TestEncodings_ofTheEngine reads what the engine itself wrote into files of these encodings.
func TestEncodings_ofTheEngine(t *testing.T) {
	const want = "hello hello hello hello hello\n"
	for name, text := range map[string]string{
		"snappy":  "0000001e0000000d1e1468656c6c6f205a0600000a",
		"lz4":     "04224d184050771000 00006f68656c6c6f2006000050656c6c6f0a00000000",
		"deflate": "785eca48cdc9c957c8c04e7201000000ffff0300adff0aef",
		"br":      "1f1d00000036c6be67f54fd0102a45e889a3acfa00",
		"zstd":    "28b52ffd04586c000038 68656c6c6f200a0100a94b1101 00001a4872ab",
	} {
		data, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		must(t, err)
		if got, err := store.Decode(name, data); string(got) != want || err != nil {
			t.Errorf("%s: %q, error %v", name, got, err)
		}
	}
}

// TestEncodings sends a statement, data and an answer in each encoding.
func TestEncodings(t *testing.T) {
	base := storetest.Start(t)
	run(t, base, "CREATE TABLE t (a String, b UInt64) ENGINE = MergeTree ORDER BY b")
	rows := strings.Repeat("some text\t7\n", 300_000) // more than a block of any of them
	for _, name := range store.EncodingNames() {
		t.Run(name, func(t *testing.T) {
			run(t, base, "TRUNCATE TABLE t")
			body, err := store.Encode(name, []byte(rows))
			must(t, err)
			run(t, base+"?query="+url.QueryEscape("INSERT INTO t FORMAT TSV"), string(body), "Content-Encoding", name)
			if got := run(t, base, "SELECT count(), sum(b) FROM t"); got != "300000\t2100000\n" {
				t.Fatalf("%s rows", got)
			}
			body, err = store.Encode(name, []byte("SELECT a, b FROM t FORMAT TSV"))
			must(t, err)
			r := send(t, http.MethodPost, base, string(body), "Content-Encoding", name, "Accept-Encoding", name)
			if r.status != http.StatusOK || r.header.Get("Content-Encoding") != name {
				t.Fatalf("status %d, encoding %q: %.200q", r.status, r.header.Get("Content-Encoding"), r.body)
			}
			if got, err := store.Decode(name, []byte(r.body)); string(got) != rows || err != nil {
				t.Errorf("%d bytes, want %d, error %v", len(got), len(rows), err)
			}
			// Data that is cut off is no shorter insert.
			for _, cut := range []int{1, len(body) / 2} {
				if r := send(t, http.MethodPost, base, string(body[:len(body)-cut]), "Content-Encoding",
					name); r.status == http.StatusOK {
					t.Errorf("cut by %d: status 200: %.100q", cut, r.body)
				}
			}
		})
	}
}

func TestAcceptEncoding(t *testing.T) {
	base := storetest.Start(t)
	for accept, want := range map[string]string{
		"": "", "identity": "", "*": "", "gzip": "gzip", "GZIP": "gzip", "br, gzip": "gzip", "gzip;q=0, br": "br",
		"gzip; q=0.0, br;q=0.1": "br",
		"zstd,lz4,br":           "zstd", "bzip": "", "lz4": "lz4",
	} {
		if r := send(t, http.MethodPost, base, "SELECT 1", "Accept-Encoding",
			accept); r.header.Get("Content-Encoding") != want {
			t.Errorf("%q: %q, want %q", accept, r.header.Get("Content-Encoding"), want)
		}
	}
}

// TestSnappy_badFrames reads frames with wrong lengths.
func TestSnappy_badFrames(t *testing.T) {
	good, err := store.Encode("snappy", bytes.Repeat([]byte("x"), 100))
	must(t, err)
	for name, data := range map[string][]byte{
		"huge piece":       {0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff},
		"no piece":         {0, 0, 0, 1},
		"longer than said": append([]byte{0, 0, 0, 1}, good[4:]...),
		"not snappy":       {0, 0, 0, 5, 0, 0, 0, 2, 0xff, 0xff},
	} {
		if got, err := store.Decode("snappy", data); err == nil {
			t.Errorf("%s: %q without an error", name, got)
		}
	}
}
