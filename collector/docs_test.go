package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"
)

// documents are the project's texts by path from this folder.
func documents(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && (name == "testdata" || name == "dist" || len(name) > 2 && name[0] == '.') {
			return fs.SkipDir
		}
		if name == "README.md" || name == "CHANGELOG.md" {
			data, err := os.ReadFile(path)
			all[path] = string(data)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 8 {
		t.Fatalf("only %d documents", len(all))
	}
	return all
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notSlug = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// slug is the anchor of a heading, as GitHub makes it.
func slug(title string) string {
	return strings.ReplaceAll(notSlug.ReplaceAllString(strings.ToLower(title), ""), " ", "-")
}

// Every link leads to a file, and to a heading of it.
func TestDocumentLinks(t *testing.T) {
	all := documents(t)
	for path, text := range all {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			file, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(file, "://") {
				continue
			}
			target := path
			if file != "" {
				target = filepath.Join(filepath.Dir(path), file)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", path, m[1], err)
				continue
			}
			if anchor == "" {
				continue
			}
			found := false
			for _, h := range heading.FindAllStringSubmatch(all[target], -1) {
				found = found || slug(h[1]) == anchor
			}
			if !found {
				t.Errorf("%s links to %s: there is no such heading", path, m[1])
			}
		}
	}
}

var (
	fence  = regexp.MustCompile("(?ms)^ *```[a-z]*\n(.*?)^ *```$")
	inline = regexp.MustCompile("`([^`\n]+)`")
)

// commandLines are the lines of the code blocks and the inline code of a text, without comments.
func commandLines(text string) []string {
	var lines []string
	for _, block := range fence.FindAllStringSubmatch(text, -1) {
		lines = append(lines, strings.Split(block[1], "\n")...)
	}
	for _, code := range inline.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		lines = append(lines, code[1])
	}
	for i, line := range lines {
		line, _, _ = strings.Cut(line, " # ")
		lines[i] = strings.TrimPrefix(strings.TrimSpace(line), "$ ")
	}
	return lines
}

var (
	envPrefix  = regexp.MustCompile(`^([A-Z_0-9]+=\S* )+`)
	makeTarget = regexp.MustCompile(`(?m)^([a-z-]+):`)
	named      = regexp.MustCompile(`Name: +"([a-z0-9-]+)"`)
	testFunc   = regexp.MustCompile(`(?m)^func (Test|Fuzz|Benchmark)(\w+)\(`)
	ownPath    = regexp.MustCompile(
		`^(bench|collector|conf\.example|decoder|enrich|metadata|sink|\.ci)/[A-Za-z0-9_./-]*[a-z0-9]$`)
)

// Every command that the documents name exists, with its flags, and so does every file of the project.
func TestDocumentCommands(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	var targets []string
	for _, m := range makeTarget.FindAllStringSubmatch(string(makefile), -1) {
		targets = append(targets, m[1])
	}
	bench := names(t, "../bench/*.go", named)
	checked := 0
	for path, text := range documents(t) {
		for _, line := range commandLines(text) {
			words := strings.Fields(envPrefix.ReplaceAllString(line, ""))
			if len(words) < 2 {
				words = append(words, "", "")
			}
			switch {
			case words[0] == "make":
				for _, word := range words[1:] {
					if word != "" && !strings.Contains(word, "=") && !slices.Contains(targets, word) {
						t.Errorf("%s: `%s`: the Makefile has no target %s", path, line, word)
					}
				}
			case strings.HasPrefix(line, "collector  "): // the head of a table
				checked--
			case words[0] == "collector" && words[1] != "":
				if problem := wrongCommand(root(), words[1:]); problem != "" {
					t.Errorf("%s: `%s`: %s", path, line, problem)
				}
			case strings.HasPrefix(line, "go run ./bench "):
				for n, word := range words[3:] {
					if name := strings.TrimLeft(word, "-"); n == 0 || name != word {
						if flag, _, _ := strings.Cut(name, "="); !slices.Contains(bench, flag) && flag != "1" {
							t.Errorf("%s: `%s`: bench has no %s", path, line, word)
						}
					}
				}
			case strings.HasPrefix(line, "go test "):
				checkGoTest(t, path, line, words[2:])
			default:
				checked--
			}
			checked++
			for _, word := range strings.Fields(line) {
				if word = strings.Trim(word, `,:"'`); !ownPath.MatchString(word) {
					continue
				}
				if _, err := os.Stat(filepath.Join("..", word)); err != nil {
					t.Errorf("%s: `%s`: there is no %s", path, line, word)
				}
			}
		}
	}
	if checked < 60 {
		t.Errorf("only %d commands were found: the test looks for the wrong thing", checked)
	}
}

// wrongCommand says what is wrong with a command line of the collector; "" is nothing.
func wrongCommand(c *cli.Command, words []string) string {
	if words[0] == "COMMAND" {
		return ""
	}
	for len(words) > 0 {
		sub := c.Command(words[0])
		if sub == nil {
			break
		}
		c, words = sub, words[1:]
	}
	if c.Name == "collector" {
		return "there is no such command"
	}
	quoted := false
	for _, word := range words {
		if word == "|" || word == ">" {
			break
		}
		inside := quoted || strings.HasPrefix(word, `"`)
		quoted = quoted != (strings.Count(word, `"`)%2 == 1)
		name := strings.TrimRight(strings.TrimLeft(word, "-"), ",")
		if inside || name == strings.TrimRight(word, ",") || name == "" || name == "help" {
			continue
		}
		known := slices.ContainsFunc(c.Flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
		if !known {
			return c.Name + " has no flag " + word
		}
	}
	return ""
}

// checkGoTest looks for the packages and tests of a command line.
func checkGoTest(t *testing.T, path, line string, words []string) {
	t.Helper()
	pattern := ""
	for i, word := range words {
		switch {
		case (word == "-run" || word == "-bench") && i+1 < len(words):
			pattern = words[i+1]
		case strings.HasPrefix(word, "./"):
			dir := filepath.Join("..", strings.TrimSuffix(word, "/..."))
			if _, err := os.Stat(dir); err != nil {
				t.Errorf("%s: `%s`: %v", path, line, err)
			}
		}
	}
	if pattern == "" {
		return
	}
	tests := regexp.MustCompile(pattern)
	for _, word := range words {
		if strings.HasPrefix(word, "./") &&
			!slices.ContainsFunc(names(t, filepath.Join("..", word, "*_test.go"), testFunc), tests.MatchString) {
			t.Errorf("%s: `%s`: %s has no such test", path, line, word)
		}
	}
}

// names are what an expression finds in files.
func names(t *testing.T, glob string, expression *regexp.Regexp) []string {
	t.Helper()
	files, err := filepath.Glob(glob)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") && !strings.HasSuffix(glob, "_test.go") {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range expression.FindAllStringSubmatch(string(data), -1) {
			all = append(all, m[len(m)-1])
		}
	}
	return all
}

var (
	settingRow = regexp.MustCompile("(?m)^\\| `([a-z_]+)\\.([a-z0-9_.]+)` \\|")
	setting    = regexp.MustCompile(`^([a-z]+)\.([a-z0-9_.]+)$`)
	metric     = regexp.MustCompile(`(?:desc\(|Name: |": +\{)"([a-z_]+)"`)
	fileEnding = regexp.MustCompile(
		`\.(go|md|yml|sql|json|jsonl|proto|sh|pcap|conf|native|progress|snapshot|password|damaged)$`)
)

// Every setting that the documents name exists, and collector/README.md has every metric.
func TestDocumentSettingsAndMetrics(t *testing.T) {
	all := documents(t)
	known, sections := map[string]bool{}, map[string]bool{}
	for _, m := range settingRow.FindAllStringSubmatch(all["../conf.example/README.md"], -1) {
		known[m[1]+"."+m[2]], sections[m[1]] = true, true
	}
	if len(known) < 100 {
		t.Fatalf("only %d settings", len(known))
	}
	for path, text := range all {
		for _, code := range inline.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			name, _, _ := strings.Cut(code[1], ":")
			m := setting.FindStringSubmatch(name)
			if m == nil || !sections[m[1]] || known[name] || fileEnding.MatchString(name) {
				continue
			}
			if !slices.ContainsFunc(keysOf(known), func(k string) bool { return strings.HasPrefix(k, name+".") }) {
				t.Errorf("%s: there is no setting %s", path, name)
			}
		}
	}
	for _, name := range names(t, "metrics/*.go", metric) {
		if !strings.Contains(all["../collector/README.md"], name) {
			t.Errorf("collector/README.md lacks the metric %s", name)
		}
	}
}

func keysOf(m map[string]bool) (all []string) {
	for k := range m {
		all = append(all, k)
	}
	return all
}
