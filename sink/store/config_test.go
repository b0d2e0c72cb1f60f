package store

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The engine takes the first section of a name and passes over others, so each must be there once and whole.
func TestWriteConfig_sectionsAreWhole(t *testing.T) {
	o := Options{Path: t.TempDir(), Settings: map[string]string{
		"merge_tree.parts_to_throw_insert": "5000", "logger.level": "error", "merge_tree_other": "1", "a.b.c": "<2>",
		"a.b.d": "3", "a.e": "4",
	}}
	path, err := o.writeConfig()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(data), "\n", "")
	for _, section := range []string{"merge_tree", "logger", "a", "b"} {
		if strings.Count(text, "<"+section+">") != 1 || strings.Count(text, "</"+section+">") != 1 {
			t.Errorf("section %s is not there once:\n%s", section, data)
		}
	}
	for _, want := range []string{
		`<merge_tree>.*<non_replicated_deduplication_window>.*</merge_tree>`,
		`<merge_tree>.*<parts_to_throw_insert>5000</parts_to_throw_insert>.*</merge_tree>`,
		`<a><b><c>&lt;2&gt;</c><d>3</d></b><e>4</e></a>`, `</merge_tree><merge_tree_other>1</merge_tree_other>`,
	} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("no %s in\n%s", want, data)
		}
	}
}
