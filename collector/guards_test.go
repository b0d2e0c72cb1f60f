package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// hotFunctions are called for each record, field or row, and are so small that the compiler puts them into their
// callers. A change that makes one too large costs a call at each of these places, which no test of results shows.
var hotFunctions = map[string][]string{
	"decoder/sflow": {"(*reader).uint32", "(*reader).uint64", "(*reader).skip", "(*reader).take", "(*reader).fixed"},
	"decoder/netflow": {"unsigned", "unsigned8", "unsigned16", "unsigned32", "addr6", "setAddr4", "cut",
		"(*templates).lookup"},
	"decoder/flow": {"AddrFrom4", "AddrFrom", "(*Record).Set", "(*Batch).Drop", "(*Batch).Numbers", "(*Batch).Addrs"},
	"enrich":       {"blockOf", "slotOf", "(*prefixTable).at", "(*portSet).has"},
	"sink/native":  {"fill", "Packed.Size"},
	"sink/block": {"(*fixed[go.shape.uint32]).set", "(*fixed[go.shape.[16]uint8]).set",
		"(*nullable[go.shape.uint16]).set", "(*nullableString).set", "(*lowCardinality).setNullable", "(*offsets).end"},
	"collector/pipeline": {"usual"},
}

func TestHotFunctionsAreInlined(t *testing.T) {
	args := []string{"build", "-gcflags=-m"}
	for folder := range hotFunctions {
		args = append(args, module+folder)
	}
	// What the compiler says is kept in the build cache, and said again.
	build := exec.Command("go", args...)
	build.Dir = ".." // paths are relative to it, so that they have the folder
	out, err := build.CombinedOutput()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	inlined := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		if file, name, found := strings.Cut(strings.TrimSpace(line), ": can inline "); found {
			// The path is relative to where the package was compiled first, absolute, or that of the package. Seen
			// from collector/, collector/pipeline is just pipeline.
			dir := "/" + filepath.ToSlash(filepath.Dir(file))
			for folder := range hotFunctions {
				if strings.HasSuffix(dir, "/"+folder) || strings.HasSuffix("/"+folder, dir) {
					inlined[folder+" "+name] = true
				}
			}
		}
	}
	if len(inlined) < 100 {
		t.Fatalf("the compiler says of %d functions only that they are inlined:\n%s", len(inlined), out)
	}
	for folder, names := range hotFunctions {
		for _, name := range names {
			if !inlined[folder+" "+name] {
				t.Errorf("%s: %s is not inlined: make it smaller, or move its rare part into a function of its own",
					folder, name)
			}
		}
	}
}

// notCopied are types whose copies would share memory that both believe to be their own. `go vet` reports each copy.
var notCopied = map[string][]string{
	"decoder/flow":       {"Batch"},
	"decoder/exporter":   {"Stream", "Table"},
	"enrich":             {"Enricher", "Snapshot"},
	"collector/pipeline": {"Worker"},
	"sink/block":         {"Block"},
	"sink/clickhouse":    {"Blocks", "Writer", "Sink"},
	"sink/kafka":         {"Batches", "Producer"},
	"sink/message":       {"Encoder"},
	"sink/tally":         {"Book"},
	"collector/listen":   {"Worker", "Share"},
	"decoder/netflow":    {"Decoder"},
	"decoder/sflow":      {"Decoder"},
	"collector/status":   {"History"},
	"collector/ledger":   {"Ledger"},
}

func TestVetReportsCopies(t *testing.T) {
	var program strings.Builder
	program.WriteString("package copies\n\n")
	var functions strings.Builder
	n := 0
	want := map[string]bool{}
	for folder, types := range notCopied {
		alias := strings.ReplaceAll(folder, "/", "_")
		program.WriteString("import " + alias + " \"" + module + folder + "\"\n")
		for _, name := range types {
			n++
			functions.WriteString("\nfunc _(_ " + alias + "." + name + ") {}\n")
			want[alias[strings.LastIndex(alias, "_")+1:]+"."+name] = true
		}
	}
	program.WriteString(functions.String())
	dir := t.TempDir()
	file, err := filepath.Abs("service/testdata/copies.go") // it is there for go vet only
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(dir, "copies.go")
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {file: source}})
	if err != nil {
		t.Fatal(err)
	}
	for path, data := range map[string][]byte{source: []byte(program.String()),
		filepath.Join(dir, "overlay.json"): overlay} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("go", "vet", "-copylocks", "-overlay", filepath.Join(dir, "overlay.json"),
		module+"collector/service/testdata").CombinedOutput()
	if err == nil {
		t.Fatal("go vet has nothing to say of copies")
	}
	for name := range want {
		if !strings.Contains(string(out), "passes lock by value: "+module) ||
			!strings.Contains(string(out), "/"+name+" contains") {
			t.Errorf("a copy of %s is not reported: give it a first field `_ [0]sync.Mutex`", name)
		}
	}
	if t.Failed() {
		t.Logf("go vet said:\n%s", out)
	}
}

// On systems other than Linux the build ends with one line that says why.
func TestOtherSystemsAreToldWhy(t *testing.T) {
	for _, system := range []string{"darwin", "windows", "freebsd"} {
		command := exec.Command("go", "build", module+"sink/linuxonly")
		command.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
		out, err := command.CombinedOutput()
		var said []string
		for line := range strings.Lines(string(out)) {
			if !strings.HasPrefix(line, "#") {
				said = append(said, strings.TrimSpace(line))
			}
		}
		if err == nil || len(said) != 1 || !strings.Contains(said[0], "the_collector_runs_on_Linux_only") {
			t.Errorf("%s: %v\n%s", system, err, out)
		}
	}
	// Packages that need Linux are not compiled elsewhere, as a package that they import is not.
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Deps \" \"}}", module+"sink/store",
		module+"collector", module+"bench", module+"collector/listen", module+"collector/forward",
		module+"collector/stream", module+"bench/measure", module+"bench/replay").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		name, imports, _ := strings.Cut(line, " ")
		if !strings.Contains(imports, module+"sink/linuxonly") {
			t.Errorf("%s does not import sink/linuxonly", name)
		}
	}
}
