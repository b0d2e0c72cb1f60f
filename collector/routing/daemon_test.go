package routing

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/bmp"
)

// A daemon is a BGP speaker that is installed, or not.
type daemon struct {
	name, packet string // the program, and Debian's package
	address      string // where it connects from
	config       string // PORT is the station's, DIR a directory
	args         []string
	environ      []string
	// commands make routes when it runs, withdraw removes 10.1.0.0/16. Each command is tried until it succeeds.
	commands, withdraw [][]string
	md5                string // is KEY in its configuration if there is a key, the password of which is PASSWORD
	secret             bool   // the file of its configuration must be readable by its owner only
	home               string // a directory that its package's unit makes
	noIPv6             bool   // its configuration has none: exabgp 4.2 refuses such routes of a neighbour of IPv4
	// it does not answer ROUTE-REFRESH: exabgp 4.2.21 ends the session, openbgpd 7.7 ignores it
	noRefresh bool
	views     []bmp.View
	feeder    *daemon // announces routes to it
}

// running is a daemon that was started.
type running struct {
	daemon *daemon
	fill   *strings.Replacer
	pid    int
	ended  chan struct{}
}

// start runs the daemon until the test ends or it is stopped. Its sessions have that TCP-MD5 password; "": none.
func (d *daemon) start(t *testing.T, port, password string) *running {
	t.Helper()
	if os.Getenv("ROUTING_TEST") == "" {
		t.Skip("real BGP speakers are started by make test-routing only")
	}
	program, err := exec.LookPath(d.name)
	if err != nil {
		t.Skipf("%s is not installed: apt-get install %s", d.name, d.packet)
	}
	if os.Geteuid() != 0 {
		t.Skipf("%s is started by root only", d.name)
	}
	dir, err := os.MkdirTemp("", "speaker")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil { // some change their user
		t.Fatal(err)
	}
	key, mode := "", os.FileMode(0o644)
	if password != "" {
		key = strings.ReplaceAll(d.md5, "PASSWORD", password)
	}
	if d.secret {
		mode = 0o600
	}
	fill := strings.NewReplacer("PORT", port, "DIR", dir, "KEY", key)
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte(fill.Replace(d.config)), mode); err != nil {
		t.Fatal(err)
	}
	if d.home != "" {
		if err := os.MkdirAll(d.home, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var args []string
	for _, a := range d.args {
		args = append(args, fill.Replace(a))
	}
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, args...)
	command.Env = append(os.Environ(), d.environ...)
	command.Stdout, command.Stderr = out, out
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	x := &running{daemon: d, pid: command.Process.Pid, ended: make(chan struct{})}
	x.fill = strings.NewReplacer("PORT", port, "DIR", dir, "PID", fmt.Sprint(x.pid))
	go func() {
		defer close(x.ended)
		_ = command.Wait()
	}()
	t.Cleanup(func() {
		x.kill()
		if t.Failed() {
			text, _ := os.ReadFile(out.Name())
			t.Logf("%s says:\n%s", d.name, text[:min(len(text), 4000)])
		}
		_ = out.Close()
	})
	x.run(t, d.commands)
	return x
}

// run runs commands of the daemon's package, each until it succeeds.
func (x *running) run(t *testing.T, commands [][]string) {
	t.Helper()
	for _, c := range commands {
		args := make([]string, len(c))
		for i := range c {
			args[i] = x.fill.Replace(c[i])
		}
		eventually(t, func() string {
			if text, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
				return fmt.Sprintf("%s: %v: %s", strings.Join(args, " "), err, text)
			}
			return ""
		})
	}
}

// stop ends the daemon as an operator does.
func (x *running) stop() {
	_ = syscall.Kill(x.pid, syscall.SIGTERM)
	select {
	case <-x.ended:
	case <-time.After(patience):
	}
	x.kill()
}

// kill ends the daemon and its children, which cannot say good-bye.
func (x *running) kill() {
	_ = syscall.Kill(-x.pid, syscall.SIGKILL)
	<-x.ended
}
