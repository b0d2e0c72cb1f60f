package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Bash completes with its script alone: without the package bash-completion, and without running what is typed.
func TestBashCompletion(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("bash is not here")
	}
	dir := t.TempDir()
	shim := fmt.Sprintf("#!/bin/sh\nIFS=$(printf '\\037')\n%s=\"$*\" exec %s\n", runEnv, os.Args[0])
	if err := os.WriteFile(filepath.Join(dir, "collector"), []byte(shim), 0o700); err != nil {
		t.Fatal(err)
	}
	evil := filepath.Join(dir, "evil")
	for _, test := range []struct{ typed, want string }{
		{"collector qu", "query quarantine"},
		{"collector metadata ", "load draft forget show help"},
		{"collector metadata load s", "scireg"},
		{"collector metadata load --fi", "--file"},
		{"collector decode --fo", "--format"},
		{dir + "/collector vers", "version"},
		{"collector decode bench/", ""}, // then bash completes names of files
		{"collector $(touch " + evil + ") vers", "version"},
	} {
		script := `source <(collector completion bash)
			read -ra COMP_WORDS <<< "$1"
			[[ $1 != *" " ]] || COMP_WORDS+=("")
			COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
			_collector
			echo "${COMPREPLY[*]}"`
		cmd := exec.Command("bash", "--norc", "--noprofile", "-c", script, "bash", test.typed)
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
		said, err := cmd.CombinedOutput()
		if got := strings.TrimSpace(string(said)); err != nil || got != test.want {
			t.Errorf("%q: got %q, %v; want %q", test.typed, got, err, test.want)
		}
	}
	if _, err := os.Stat(evil); err == nil {
		t.Error("what was typed was run")
	}
}
