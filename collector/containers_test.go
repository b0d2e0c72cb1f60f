package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// containers runs commands of podman or docker.
type containers struct {
	t       *testing.T
	command []string
}

// newContainers uses the command of CONTAINERS, and skips the test where it is not set.
func newContainers(t *testing.T) containers {
	t.Helper()
	command := strings.Fields(os.Getenv("CONTAINERS"))
	if len(command) == 0 {
		t.Skip("CONTAINERS is not set: make test-image and make test-deb set it")
	}
	return containers{t, command}
}

// run returns what a command writes to standard output.
func (c containers) run(args ...string) (string, error) {
	c.t.Helper()
	cmd := exec.Command(c.command[0], append(c.command[1:], args...)...)
	var wrong bytes.Buffer
	cmd.Stderr = &wrong
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s%s", strings.Join(args, " "), err, out, wrong.Bytes())
	}
	return strings.TrimSpace(string(out)), err
}

// must is run for a command that has to succeed.
func (c containers) must(args ...string) string {
	c.t.Helper()
	out, err := c.run(args...)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// logs returns both streams of what a container has written.
func (c containers) logs(name string) string {
	c.t.Helper()
	out, err := exec.Command(c.command[0], append(c.command[1:], "logs", name)...).CombinedOutput()
	if err != nil {
		c.t.Errorf("logs %s: %v", name, err)
	}
	return string(out)
}

// start runs a container in the background. It is removed after the test, with its volumes.
func (c containers) start(name string, args ...string) {
	c.t.Helper()
	c.t.Cleanup(func() {
		if c.t.Failed() {
			c.t.Logf("%s wrote:\n%s", name, c.logs(name))
		}
		_, _ = c.run("rm", "--force", "--volumes", name)
		_, _ = c.run("volume", "rm", "--force", name)
	})
	// Hosts may allow less than the defaults of podman.
	c.must(append([]string{"run", "--detach", "--name", name, "--ulimit", "nofile=4096:4096",
		"--ulimit", "nproc=4096:4096"}, args...)...)
}
