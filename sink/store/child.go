package store

import (
	"bufio"
	"errors"
	"io"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// child is one process of the store.
type child struct {
	cmd   *exec.Cmd
	life  io.Closer // the write end of the pipe that the child watches: closed, it stops
	ended chan struct{}

	reached atomic.Int32 // its state

	mu    sync.Mutex
	last  string // the last line on its stderr that was more than information
	crash string // the line that says why it broke off
	err   error  // how it ended
}

// read turns the child's stderr into log lines, until it ends.
func (c *child) read(stderr io.Reader, log *zap.Logger) {
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		level, text := zapcore.ErrorLevel, line
		if word, rest, _ := strings.Cut(line, " "); level.UnmarshalText([]byte(word)) == nil {
			text = strings.TrimSpace(rest)
		}
		c.heard(level, text)
		if checked := log.Check(min(level, zapcore.ErrorLevel), text); checked != nil {
			checked.Write()
		}
	}
	io.Copy(io.Discard, stderr)
}

// crashes are the beginnings of the line in which Go's runtime, C++'s or the engine says why the program crashed. More
// lines follow.
var crashes = []string{"panic:", "fatal error:", "runtime:", "SIG", "terminate called", "libc++abi", "Poco::", "Code:",
	"DB::Exception"}

// heard remembers what may be the child's last words.
func (c *child) heard(level zapcore.Level, line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if level < zapcore.WarnLevel {
		return
	}
	c.last = line
	if c.crash != "" {
		return
	}
	for _, begin := range crashes {
		if strings.HasPrefix(line, begin) {
			c.crash = line
		}
	}
}

func (c *child) setErr(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

// failure returns why the child ended, in one line: the signal, and the last error that it wrote.
func (c *child) failure() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	how, last := "it ended without a word", c.last
	if c.crash != "" {
		last = c.crash
	}
	var exit *exec.ExitError
	switch {
	case errors.As(c.err, &exit):
		status, _ := exit.Sys().(syscall.WaitStatus)
		if !status.Signaled() && last != "" {
			return last // what it could not do
		}
		how = exit.Error()
		if status.Signaled() && status.Signal() == syscall.SIGKILL {
			how += " (by somebody, or by the kernel for want of memory: see dmesg)"
		}
	case c.err != nil:
		how = c.err.Error()
	}
	if last != "" {
		how += "; its last words: " + last
	}
	return how
}

// cannotStart is true for a child that ended by itself, not by a signal, before it had all that it needs.
func (c *child) cannotStart() bool {
	if state(c.reached.Load()) != isStarting {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var exit *exec.ExitError
	return errors.As(c.err, &exit) && exit.Exited()
}

// stop asks the child to end, and kills it when it does not.
func (c *child) stop(grace time.Duration) {
	c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.ended:
	case <-time.After(grace):
		c.kill()
	}
	c.life.Close()
}

func (c *child) kill() {
	c.cmd.Process.Kill()
	<-c.ended
	c.life.Close()
}
