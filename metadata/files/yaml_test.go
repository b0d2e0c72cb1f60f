package files

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/metadata/record"
)

// TestYAML11 has what PyYAML makes of scalars.
func TestYAML11(t *testing.T) {
	yes, no := func(s string) any { return record.Word{Text: s, Value: true} },
		func(s string) any { return record.Word{Text: s} }
	word := func(s string, is bool) any { return record.Word{Text: s, Value: is, IsText: true} }
	for text, want := range map[string]any{
		"yes": yes("yes"), "On": yes("On"), "NO": no("NO"), "off": no("off"), "y": word("y", true),
		"N": word("N", false), "yEs": word("yEs", true), "'y'": "y", "true": true, "FALSE": false, "'yes'": "yes",
		"~": nil, "Null": nil, "": nil, "''": "",
		"10": int64(10), "010": int64(8), "0x1F": int64(31), "0b101": int64(5), "1_000": int64(1000), "1:30": int64(90),
		"-1:30:05": int64(-5405), "0o17": "0o17",
		"08": "08", "+5": int64(5), "00": int64(0), "18446744073709551615": uint64(math.MaxUint64),
		"18446744073709551616": "18446744073709551616",
		"1.5":                  1.5, ".5": .5, "1.": 1., "1e5": "1e5", "1.e+5": 1e5, "1.5e+3": 1500., "1:30.5": 90.5,
		"-.INF": math.Inf(-1), "685_230.15": 685230.15,
		"2024-01-01": "2024-01-01", "192.0.2.1": "192.0.2.1", "192.0.2.0/24": "192.0.2.0/24", "::1": "::1",
		"2001:db8::1": "2001:db8::1", "comm:all": "comm:all",
		"[comm:all, ::1, 10:20]": []any{"comm:all", "::1", int64(620)},
		"!!str 010":              "010", "!!int '5'": int64(5), "!!float 5": 5., "!!bool 'yes'": true,
		"!!str yes": "yes", "!!binary aGk=": "hi",
		"|\n      a\n      b\n": "a\nb\n", ">-\n      a\n      b\n": "a b", `"a\tb\u00fc"`: "a\tbü",
		"{1: a, yes: b, 010: c}": map[string]any{"1": "a", "yes": "b", "010": "c"},
	} {
		sets, err := Read(write(t, "table: meta_device\ndata:\n  - id: x\n    v: "+text+"\n"))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if err := sets[0].Each(func(r record.Raw, _ string) error {
			if diff := cmp.Diff(want, r["v"]); diff != "" {
				t.Errorf("%q (-want +got):\n%s", text, diff)
			}
			return nil
		}, func(p record.Problem) { t.Errorf("%q: %s", text, p) }); err != nil {
			t.Error(err)
		}
	}
}

// TestEncodings has the byte order marks that editors write, and line ends of Windows.
func TestEncodings(t *testing.T) {
	text := "table: meta_device\r\ndata:\r\n  - {id: Zürich, type: router}\r\n"
	little, big := []byte("\xff\xfe"), []byte("\xfe\xff")
	for _, u := range utf16.Encode([]rune(text)) {
		little, big = binary.LittleEndian.AppendUint16(little, u), binary.BigEndian.AppendUint16(big, u)
	}
	for name, data := range map[string]string{"UTF-8": text, "with a mark": "\ufeff" + text, "UTF-16LE": string(little),
		"UTF-16BE": string(big)} {
		sets, err := Read(write(t, data))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if records, _ := collect(t, sets[0]); len(records) != 1 || records[0] != "3 Zürich" {
			t.Errorf("%s: %q", name, records)
		}
	}
}

// TestAliasBombs: what aliases make of a record is bounded, and costs the record.
func TestAliasBombs(t *testing.T) {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for n := 1; n < 30; n++ {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", n, n, strings.Repeat(fmt.Sprintf("*a%d, ", n-1), 10))
	}
	b.WriteString("m0: &m0 {a: 1}\nm1: &m1 {<<: [*m0, *m0, *m0]}\n")
	for n := 2; n < 30; n++ {
		fmt.Fprintf(&b, "m%d: &m%d {<<: [*m%d, *m%d, *m%d]}\n", n, n, n-1, n-1, n-1)
	}
	b.WriteString("table: meta_device\ndata:\n  - {id: bomb, ext: {v: *a29}}\n  - {id: merged, <<: *m29}\n  - &self " +
		"{id: self, ext: {v: *self}}\n" +
		"  - {id: tagged, type: !python/object x}\n  - {id: good, type: router}\n")
	sets, err := Read(write(t, b.String()))
	if err != nil {
		t.Fatal(err)
	}
	records, problems := collect(t, sets[0])
	if len(records) != 1 || !strings.HasSuffix(records[0], " good") {
		t.Errorf("records %q", records)
	}
	want := []string{"bomb: ext: v: its aliases expand to more than", "merged: <<: ", "self: ext: v: ",
		"tagged: type: the tag !python/object is not known"}
	for i, p := range problems {
		if i >= len(want) || !strings.Contains(p, want[i]) {
			t.Errorf("problem %s", p)
		}
	}
	if len(problems) != len(want) {
		t.Errorf("%d problems, want %d", len(problems), len(want))
	}
}

// TestAliasesOfAFile: what aliases make of all records of a file is bounded too, and costs the file.
func TestAliasesOfAFile(t *testing.T) {
	for name, text := range map[string]string{
		"values": "a: &a [" + strings.Repeat("x, ", 50_000) + "x]\ntable: meta_device\ndata:\n" +
			strings.Repeat("  - {id: x, ext: {v: *a}}\n", 200),
		"long texts": "a: &a " + strings.Repeat("x", 1_000_000) + "\ntable: meta_device\ndata:\n" +
			strings.Repeat("  - {id: x, ext: {v: ["+strings.Repeat("*a, ", 20)+"*a]}}\n", 20),
		"literal texts": "a: &a |\n  " + strings.Repeat("x", 1_000_000) + "\ntable: meta_device\ndata:\n" +
			strings.Repeat("  - {id: x, ext: {v: ["+strings.Repeat("*a, ", 20)+"*a]}}\n", 20),
	} {
		sets, err := Read(write(t, text))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		err = sets[0].Each(func(record.Raw, string) error { n++; return nil }, func(record.Problem) {})
		if err == nil || !strings.Contains(err.Error(), "aliases expand to more than 5000000 values") ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %d records, %.300v", name, n, err)
		}
	}
}

func FuzzYAML(f *testing.F) {
	for _, name := range []string{"meta_device.yml", "meta_interface.yml", "meta_ip.yml", "meta_circuit.yml",
		"custom_ip_additions.yml"} {
		if data, err := os.ReadFile("../../conf.example/" + name); err == nil {
			f.Add(data)
		}
	}
	f.Add([]byte("table: meta_device\na: &a [x]\ndata:\n - {<<: *a, id: x, name: *a}\n - &b {id: *b}\n"))
	f.Add([]byte("\xff\xfet\x00:\x00 \x00a\x00"))
	f.Add([]byte("data:\n- id: !!binary eA==\n  edge: on\n  ? [a]\n  : 1:30\n"))
	tables := map[string]*record.Table{}
	for _, table := range record.Tables() {
		tables[table.Name] = table
	}
	path := filepath.Join(f.TempDir(), "m.yml")
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 16<<10 {
			t.Skip() // what is wrong is wrong in small files too, and these are read many more times
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		sets, err := Read(path)
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("an error of several lines: %v", err)
		}
		for _, s := range sets {
			table := tables[s.Table]
			if table == nil {
				continue
			}
			_ = s.Each(func(r record.Raw, _ string) error {
				if row, err := table.Coerce(r, nil); err == nil {
					hash, _ := table.Hash(row, nil)
					table.AppendRowBinary(nil, row, "x__v1", hash)
				}
				return nil
			}, func(record.Problem) {})
		}
	})
}
