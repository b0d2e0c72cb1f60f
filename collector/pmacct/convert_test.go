package pmacct

import (
	"bufio"
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files and the README's table")

func TestConvert(t *testing.T) {
	const dir = "testdata/convert"
	converted := Convert([]string{dir + "/nfacctd.conf", dir + "/sfacctd.conf"})
	var got bytes.Buffer
	if err := converted.WriteYAML(&got); err != nil {
		t.Fatal(err)
	}
	got.WriteString("\n# Problems:\n")
	for _, p := range converted.Problems {
		got.WriteString("#   " + p.Error() + "\n")
	}
	golden := filepath.Join(dir, "golden.yml")
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("differs from %s (-update writes it):\n%s", golden, got.Bytes())
	}
}

func TestParseSetting(t *testing.T) {
	for _, test := range []struct {
		line, key, plugin, value, problem string
	}{
		{line: "bgp_daemon: true", key: "bgp_daemon", value: "true"},
		{line: "Kafka_Topic [ flows ] : a:b[c]", key: "kafka_topic", plugin: "flows", value: "a:b[c]"},
		{line: "bgp_daemon_ip: 2001:db8::1", key: "bgp_daemon_ip", value: "2001:db8::1"},
		{line: "logfile:", key: "logfile"},
		{line: "logfile", problem: "no colon"},
		{line: "aggregate[x: y", problem: "bracket"},
		{line: ": y", problem: "missing"},
		{line: "[x]: y", problem: "missing"},
	} {
		s, problem := parseSetting(test.line)
		if problem != "" || test.problem != "" {
			if test.problem == "" || !strings.Contains(problem, test.problem) {
				t.Errorf("%q: problem %q, want %q", test.line, problem, test.problem)
			}
			continue
		}
		if s.Key != test.key || s.Plugin != test.plugin || s.Value != test.value {
			t.Errorf("%q: %+v", test.line, s)
		}
	}
}

// The README has the table as it is here.
func TestReadmeHasTheTable(t *testing.T) {
	const begin, end = "<!-- keys -->\n", "<!-- end of keys -->"
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(readme), begin)
	_, after, foundEnd := strings.Cut(rest, end)
	if !found || !foundEnd {
		t.Fatalf("README.md lacks %q or %q", begin, end)
	}
	var table bytes.Buffer
	WriteTable(&table)
	want := before + begin + table.String() + "\n" + end + after
	if *update {
		if err := os.WriteFile("README.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(readme) {
		t.Error("README.md has another table (-update writes it)")
	}
}

// Each row of the table is used: no earlier row takes all its keys.
func TestCounterparts(t *testing.T) {
	table := Counterparts()
	for _, subject := range table {
		for i := range subject.Rows {
			r := &subject.Rows[i]
			if (r.Fate == Taken) != (r.take != nil) || (r.Fate == Taken) != (len(r.Ours) > 0) || len(r.Keys) == 0 {
				t.Errorf("%v: fate %v, takes %t, settings %v", r.Keys, r.Fate, r.take != nil, r.Ours)
			}
			if r.Fate != Taken && r.Notes == "" {
				t.Errorf("%v: no reason", r.Keys)
			}
			for _, key := range r.Keys {
				if found := counterpart(table, strings.ReplaceAll(key, "*", "x")); found != r {
					t.Errorf("%s is in another row: %+v", key, found)
				}
			}
		}
	}
}

// Where pmacct is installed, the table has every key that its documentation has for nfacctd and sfacctd.
func TestTableIsComplete(t *testing.T) {
	text, err := os.ReadFile("/usr/share/pmacct/CONFIG-KEYS")
	if err != nil {
		t.Skip("NOT CHECKED: pmacct's CONFIG-KEYS is not here (Debian: apt-get install pmacct)")
	}
	table, checked := Counterparts(), 0
	for _, key := range documentedKeys(string(text)) {
		checked++
		if counterpart(table, key) == nil && key != "sfactd_counter_amqp_exchange_type" { // mistyped there
			t.Errorf("the table lacks %s", key)
		}
	}
	if checked < 300 {
		t.Errorf("only %d keys: the test reads the document wrongly", checked)
	}
}

// documentedKeys are those of CONFIG-KEYS: KEY: A, or KEY: [ A | B ], which may go over several lines.
func documentedKeys(text string) (keys []string) {
	_, text, _ = strings.Cut(text, "LIST OF DIRECTIVES")
	word, aside := regexp.MustCompile(`[a-z][a-z0-9_]+`), regexp.MustCompile(`\(-.\)|\[[A-Z_, ]+\]`)
	within := false
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		rest, isKey := strings.CutPrefix(line, "KEY:")
		switch {
		case isKey:
			within = true
		case strings.HasPrefix(line, "VALUE") || strings.HasPrefix(line, "DESC") || strings.HasPrefix(line, "DEFAULT"),
			strings.HasPrefix(line, "\t\tFlags that"): // one description lacks its word
			within = false
		default:
			rest = line
		}
		if within {
			keys = append(keys, word.FindAllString(aside.ReplaceAllString(rest, ""), -1)...)
		}
	}
	keys = slices.DeleteFunc(keys, func(key string) bool { return !strings.Contains(key, "_") && len(key) < 5 })
	return keys
}

func FuzzConvert(f *testing.F) {
	for _, name := range []string{"nfacctd.conf", "sfacctd.conf", "allow.lst", "sampling.map", "receivers.lst",
		"librdkafka.conf"} {
		text, err := os.ReadFile("testdata/convert/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text), "aggregate")
	}
	f.Fuzz(func(t *testing.T, text, key string) {
		dir := t.TempDir()
		conf, file := filepath.Join(dir, "nfacctd.conf"), filepath.Join(dir, "file")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		// What a configuration names must not be a file of this host.
		own := regexp.MustCompile(`(?m)(_file|_map|_receivers)(\s*\[[^\]\n]*\])?\s*:.*$`).ReplaceAllString(text, "")
		lines := own + "\nnfacctd_allow_file: " + file + "\nsampling_map: " + file + "\ntee_receivers: " + file +
			"\nkafka_config_file: " + file + "\n" + key + ": " + strings.SplitN(text, "\n", 2)[0]
		if strings.Contains(key, "_file") || strings.Contains(key, "_map") || strings.Contains(key, "_receivers") {
			return
		}
		if err := os.WriteFile(conf, []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := Convert([]string{conf}).WriteYAML(&out); err != nil {
			t.Fatal(err)
		}
	})
}
