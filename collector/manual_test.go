package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Every command and every option has its place in a man page, which man's own formatter takes without a warning.
func TestManual(t *testing.T) {
	pages := manual(root())
	main := string(pages["collector.1"])
	for _, c := range root().VisibleCommands() {
		if c.Name == "help" {
			continue
		}
		page := string(pages["collector-"+c.Name+".1"])
		if page == "" || !strings.Contains(main, roff("collector-"+c.Name)) {
			t.Errorf("%s has no page, or collector.1 does not name it", c.Name)
		}
		for _, f := range c.Flags {
			if !strings.Contains(page, roff("--"+f.Names()[0])) {
				t.Errorf("the page of %s has no --%s", c.Name, f.Names()[0])
			}
		}
		for _, sub := range c.Commands {
			if !sub.Hidden && !strings.Contains(page, roff("collector "+c.Name+" "+sub.Name)) {
				t.Errorf("the page of %s has no %s", c.Name, sub.Name)
			}
		}
	}
	if _, err := exec.LookPath("groff"); err != nil {
		t.Skip("NOT CHECKED: the pages' format: groff is not here")
	}
	for name, page := range pages {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, page, 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("groff", "-man", "-Tutf8", "-ww", "-rLL=110n", path)
		var wrong bytes.Buffer
		cmd.Stderr = &wrong
		if text, err := cmd.Output(); err != nil || wrong.Len() > 0 || len(text) < 200 {
			t.Errorf("%s: %v %s\n%s", name, err, wrong.Bytes(), text)
		}
	}
}
