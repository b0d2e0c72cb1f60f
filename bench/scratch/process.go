// Package scratch runs collectors and stores for one measurement, and queries the stores.
package scratch

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Process is a program that was started here. Its methods may be called anywhere, Await by one goroutine at a time.
type Process struct {
	name  string
	cmd   *exec.Cmd
	lines chan string // of its standard error; those that nobody reads are dropped
	ended chan struct{}
}

// Start runs a program whose standard error goes to a log file.
func Start(name, log string, cmd *exec.Cmd) (*Process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	// The store ends when its standard input does: when this program ends, however that is.
	if _, err := cmd.StdinPipe(); err != nil {
		return nil, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for this program, which ends the others in order
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &Process{name: name, cmd: cmd, lines: make(chan string, 1024), ended: make(chan struct{})}
	go func() {
		defer out.Close()
		lines := bufio.NewScanner(io.TeeReader(stderr, out))
		for lines.Scan() {
			select {
			case p.lines <- lines.Text():
			default:
			}
		}
		_ = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// PID is the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended is closed when the program has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Signal sends it a signal.
func (p *Process) Signal(signal syscall.Signal) error { return p.cmd.Process.Signal(signal) }

// Await waits for a line of its standard error that has the text.
func (p *Process) Await(ctx context.Context, text string, atMost time.Duration) error {
	timeout := time.After(atMost)
	for {
		select {
		case line := <-p.lines:
			if strings.Contains(line, text) {
				return nil
			}
		case <-p.ended:
			return fmt.Errorf("%s ended before it said %q", p.name, text)
		case <-timeout:
			return fmt.Errorf("%s did not say %q within %s", p.name, text, atMost)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Stop sends a signal and waits for the end.
func (p *Process) Stop(signal syscall.Signal) {
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.ended:
	case <-time.After(2 * time.Minute):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}
