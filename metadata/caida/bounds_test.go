package caida

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/metadata/record"
)

// TestBombs has files that are made to use up memory or time: each ends with one line.
func TestBombs(t *testing.T) {
	lines := `{"type":"Organization","organizationId":"O","name":"Org"}` + "\n"
	for _, test := range []struct{ name, as2org, peering, want string }{
		{"lines that are no JSON", strings.Repeat("x\n", 200_000), "", "more than 100000 lines are not JSON objects"},
		{"a line that does not end", lines + strings.Repeat("x", 2<<20), "", "token too long"},
		{"entries of wrong types", "", `{"org":{"data":[{"id":1}` + strings.Repeat(`,{"id":{}}`, 200_000) + `]}}`,
			"more than 100000 entries are wrong"},
		{"an entry that does not end", "", `{"org":{"data":[{"id":1,"name":"` + strings.Repeat("x", 2<<20) + `"}]}}`,
			"an entry or line of more than the 1048576 bytes allowed"},
		{"useless lines", strings.Repeat("\n", maxEntries+1), "", "more than 4000000 lines"},
		{"useless entries", "", `{"org":{"data":[{}` + strings.Repeat(",{}", maxEntries) + `]}}`,
			"more than 4000000 entries"},
		{"nested lists that are skipped", "", `{"x":` + strings.Repeat("[", 2<<20), "more than 1000 levels deep"},
		{"nested objects that are skipped", "", `{"org":` + strings.Repeat(`{"x":`, 1<<20),
			"more than 1000 levels deep"},
		{"a text that is skipped", "", `{"x":"` + strings.Repeat("x", 2<<20) + `"}`,
			"an entry or line of more than the 1048576 bytes allowed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var f Files
			if test.as2org != "" {
				f.AS2Org = write(t, "as.jsonl", test.as2org)
			}
			if test.peering != "" {
				f.PeeringDB = write(t, "p.json", test.peering)
			}
			if _, err := Read(f); err == nil || !strings.Contains(err.Error(), test.want) ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}

	// Problems are told up to a number, and counted.
	m := newMerged()
	if err := m.readAS2Org(write(t, "as.jsonl", lines+strings.Repeat("x\n", 5000))); err != nil ||
		len(m.problems) != maxProblems || m.untold != 5000-maxProblems {
		t.Errorf("%v, %d problems and %d more", err, len(m.problems), m.untold)
	}
	// What an entry has beside its text is not kept.
	m = newMerged()
	if err := m.readPeeringDB(write(t, "p.json",
		`{"net":{"data":[{"org_id":1,"asn":1,"name":"n","info_types":[[1],"a"],"info_ratio":[1,2]}]},`+
			`"org":{"data":[{"id":1,"city":{}}]},"x":[{"y":[1]}]}`)); err != nil {
		t.Error(err)
	} else if net := m.as[1].net; net.Ratio != nil || len(net.Types.([]any)) != 2 || net.Types.([]any)[0] != nil {
		t.Errorf("%+v", net)
	}
}

func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// FuzzFeeds reads any two files. The tables of countries are made once: they cost more than the files.
func FuzzFeeds(f *testing.F) {
	f.Add([]byte("{\"type\":\"Organization\",\"organizationId\":\"X\",\"name\":\"N\",\"country\":\"CH\"}\n"+
		"{\"type\":\"ASN\",\"organizationId\":\"X\",\"asn\":\"64496\",\"name\":\"A\"}\n"),
		[]byte(
			`{"org":{"data":[{"id":1,"name":"O","country":"CH","city":"x","state":"BE","latitude":NaN,`+
				`"longitude":null}]},"net":{"data":[{"org_id":1,"asn":64496,"name":"N","info_ipv6":true,`+
				`"info_types":["a"]}],"meta":{}},"x":[1]}`))
	f.Add([]byte("\ufeff\n\nnull\n[]\n"), []byte(`{"net":{"data":[{"asn":1e3}]}}`))
	shared := newPlaces()
	a, p := filepath.Join(f.TempDir(), "a"), filepath.Join(f.TempDir(), "p")
	tables := map[string]*record.Table{}
	for _, t := range record.Tables() {
		tables[t.Name] = t
	}
	f.Fuzz(func(t *testing.T, as2org, peering []byte) {
		_ = os.WriteFile(a, as2org, 0o600)
		_ = os.WriteFile(p, peering, 0o600)
		m := newMerged()
		m.places = shared
		_ = m.readAS2Org(a)
		_ = m.readPeeringDB(p)
		take := func(table string) func(record.Raw, string) error {
			return func(r record.Raw, _ string) error {
				row, err := tables[table].Coerce(r, nil)
				if err == nil {
					tables[table].AppendRowBinary(nil, row, "x__v1", record.Hash{})
				}
				return nil
			}
		}
		_ = m.eachOrganization(take(record.Organization), func(record.Problem) {})
		_ = m.eachAS(take(record.AS), func(record.Problem) {})
	})
}
