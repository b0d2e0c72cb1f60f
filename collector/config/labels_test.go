package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A list of labels means what pmacct's documentation says of its pre_tag_map.
func TestLabelFile(t *testing.T) {
	const list = `! the form of pmacct's examples
# another comment
set_label=blabla	ip=198.51.100.0/24	jeq=more
set_tag=7	ip=203.0.113.9
set_label=never	ip=203.0.113.9
set_label="two words" ip=2001:db8::/32
set_label=rest   ip=0.0.0.0/0
set_label=second ip=0.0.0.0/0 label=more
`
	rules, problems := parseLabels("map", list)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for exporter, want := range map[string]string{
		"198.51.100.7": "blabla,second", // both, as the first one jumps
		"203.0.113.9":  "",              // the tag ends the search
		"203.0.113.10": "rest",
		"2001:db8::1":  "two words",
		"2001:db9::1":  "",
	} {
		if got := LabelOf(rules, netip.MustParseAddr(exporter)); got != want {
			t.Errorf("%s has the label %q, want %q", exporter, got, want)
		}
	}
}

func TestLabelFile_faults(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"set_label=a ip=10.0.0.0/33", "map:2: ip: 10.0.0.0/33: is neither an address nor a prefix"},
		{"set_label= ip=10.0.0.0/8", "map:2: set_label: is empty"},
		{"set_label=a ip=10.0.0.1 in=4", "map:2: in: 4: depends on the flow: labels here are of exporters, by ip"},
		{"set_label=a filter='src net 10.0.0.0/8'",
			"map:2: filter: src net 10.0.0.0/8: depends on the flow: labels here are of exporters, by ip"},
		{"set_lable=a ip=10.0.0.1", "map:2: set_lable: a: is no key of a pre_tag_map"},
		{"set_label = a", "map:2: set_label: is empty\nmap:2: a: is no key of a pre_tag_map"},
		{"set_label=a jeq=up", "map:2: jeq: up: no line below has this label"},
		{"set_label=a jeq=next return=true", "map:2: return: true: would give every flow twice"},
	} {
		_, problems := parseLabels("map", "! comment\n"+test.line+"\n")
		var got []string
		for _, p := range problems {
			got = append(got, p.String())
		}
		if !strings.Contains(strings.Join(got, "\n"), strings.Split(test.want, "\n")[0]) || len(got) == 0 {
			t.Errorf("%s: %q, want %q", test.line, got, test.want)
		}
	}
}

// The reference's own file labels everything. A list of applications is refused without thousands of lines.
func TestLabelFile_ofTheReference(t *testing.T) {
	rules, problems := parseLabels("map", "! one label for all\nset_label=sensor-1")
	if got := LabelOf(rules, netip.MustParseAddr("2001:db8::1")); len(problems) > 0 || got != "sensor-1" {
		t.Errorf("%q, %v", got, problems)
	}
	_, problems = parseLabels("map", strings.Repeat("set_label=ftp dst_port=21 ip_proto=tcp\n", 1000))
	if len(problems) != maxListProblems+1 || problems[maxListProblems].String() != "map: 1980 more faults" {
		t.Errorf("%d problems: %v", len(problems), problems[len(problems)-1])
	}
}

func TestPortsFile(t *testing.T) {
	ports, problems := parsePorts("ports", "! known\n22\n 443 \n\n# more\n65535\n")
	if len(problems) > 0 || !slices.Equal(ports, []uint16{22, 443, 65535}) {
		t.Errorf("%v, %v", ports, problems)
	}
	if _, problems = parsePorts("ports", "22\n65536\nhttp\n"); len(problems) != 2 ||
		problems[0].String() != `ports:2: "65536": is not a port` {
		t.Errorf("%v", problems)
	}
}

// Labels and policies of exporters can be set in the file and in the environment; every fault is named.
func TestPolicyOfExporters(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "c.yml")
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("c.yml", `policy:
  exporters:
    collector_id: {192.0.2.0/24: campus1, 192.0.2.7: core, "2001:db8::/32": campus2}
    level: {192.0.2.0/24: tlp:green}
    scopes: {192.0.2.0/24: "comm:re as:64500"}
`)
	c, problems := Load(Source{File: file, Environ: []string{
		"CLICKHOUSE_POLICY_ORIGINATOR_BY_EXPORTER=192.0.2.0/24=a,2001:db8::/32=b:c",
	}})
	x := c.Policy.Exporters
	if len(problems) > 0 || len(c.Warnings()) > 0 ||
		x.CollectorID[netip.MustParsePrefix("192.0.2.7/32")] != "core" ||
		x.Level[netip.MustParsePrefix("192.0.2.0/24")] != "tlp:green" ||
		x.Originator[netip.MustParsePrefix("2001:db8::/32")] != "b:c" {
		t.Errorf("%+v: %v, %v", x, problems, c.Warnings())
	}

	write("c.yml", "policy:\n  exporters:\n    level: {10.0.0.0/40: x, core: y, 192.0.2.0/24: secret}\n")
	if _, problems = Load(Source{File: file}); len(problems) != 2 ||
		!strings.Contains(problems[0].String(), file+":3: ") {
		t.Errorf("%v", problems)
	}
	write("c.yml", "policy: {exporters: {level: {192.0.2.0/24: secret}}}\n")
	if c, _ = Load(Source{File: file}); len(c.Warnings()) != 1 {
		t.Errorf("%v", c.Warnings())
	}
	labels, ports := write("labels", "set_label=a in=1\n"), write("ports", "x\n")
	c, problems = Load(Source{Environ: []string{"PRE_TAG_MAP=" + labels, "PORTS_FILE=" + ports}})
	if len(problems) != 2 || !strings.HasPrefix(problems[0].String(), labels+":1: in: 1: depends on the flow") ||
		!strings.HasPrefix(problems[1].String(), ports+":1: ") {
		t.Errorf("%v", problems)
	}
	if !slices.Equal(c.Files(), []string{labels, ports}) {
		t.Errorf("files are %v: changes of these lists would not be noticed", c.Files())
	}
	if _, problems = Load(Source{Environ: []string{"PRE_TAG_MAP=" + dir + "/none"}}); len(problems) != 1 {
		t.Errorf("%v", problems)
	}
}

// A list that changed is a change of its setting, though its path is the same.
func TestChangedListsAreChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "map")
	load := func(text string) *Config {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, problems := Load(Source{Environ: []string{"PRE_TAG_MAP=" + path}})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		return c
	}
	before := load("set_label=a\n")
	if got := Changes(before, load("set_label=a\n! the same\n")); len(got) != 0 {
		t.Errorf("%v changed", got)
	}
	if got := Changes(before, load("set_label=b\n")); !slices.Equal(got, []string{"policy.label_file"}) {
		t.Errorf("%v changed", got)
	}
}

// FuzzLabelFile reads any list of labels and asks it.
func FuzzLabelFile(f *testing.F) {
	for _, seed := range []string{
		"set_label=a ip=10.0.0.0/8 jeq=x\nset_label='b c' label=x\n", "set_label=\"", "=\t=' '", "jeq=next", "!\n#\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rules, problems := parseLabels("map", text)
		if len(problems) == 0 {
			LabelOf(rules, netip.MustParseAddr("10.1.2.3")) // it ends
		}
		parsePorts("ports", text)
	})
}
