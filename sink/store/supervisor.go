package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"
)

// SupervisorOptions are the store's options and how to run its process.
type SupervisorOptions struct {
	Options
	// Command makes the child's command from its arguments; by default this program with the subcommand "store".
	Command func(args []string) *exec.Cmd
	// StartTimeout is how long the first start may take until the store answers. 60 s by default.
	StartTimeout time.Duration
}

// Supervisor keeps a store running in a child process. Its methods may be called by several goroutines.
type Supervisor struct {
	o        SupervisorOptions
	url      string
	restarts atomic.Uint64
	pid      atomic.Int64
	cancel   context.CancelFunc
	done     chan struct{}
}

// Start runs a store in a child process and returns when it answers. A child that ends later is started again, after a
// pause that grows while it keeps failing. The store ends with Stop, with ctx, or with this process, however that ends.
func Start(ctx context.Context, o SupervisorOptions) (*Supervisor, error) {
	o.Options = o.withDefaults()
	if o.StartTimeout <= 0 {
		o.StartTimeout = time.Minute
	}
	if o.Command == nil {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("store: this program's own path: %w", err)
		}
		o.Command = func(args []string) *exec.Cmd { return exec.Command(self, append([]string{"store"}, args...)...) }
	}
	for try := 1; ; try++ {
		s, err := start(ctx, o)
		// A free port can be taken by another program before the child has it.
		if err == nil || try == 5 || !strings.HasSuffix(o.Listen, ":0") || !strings.Contains(err.Error(), "address already in use") {
			return s, err
		}
	}
}

// start is one try to start.
func start(ctx context.Context, o SupervisorOptions) (*Supervisor, error) {
	if err := pickPort(&o.Listen); err != nil {
		return nil, err
	}
	s := &Supervisor{o: o, url: "http://" + o.Listen, done: make(chan struct{})}
	c, err := s.launch()
	if err != nil {
		return nil, err
	}
	starting, stopWaiting := context.WithTimeout(ctx, o.StartTimeout)
	defer stopWaiting()
	if err := s.waitUntilUp(starting, c); err != nil {
		c.kill()
		return nil, err
	}
	life, cancel := context.WithCancel(ctx)
	s.cancel = cancel
	go s.watch(life, c)
	return s, nil
}

// URL is where the store answers, such as "http://127.0.0.1:8123".
func (s *Supervisor) URL() string { return s.url }

// Restarts is how often the store ended by itself and was started again.
func (s *Supervisor) Restarts() uint64 { return s.restarts.Load() }

// PID is the process of the running store, 0 while there is none.
func (s *Supervisor) PID() int { return int(s.pid.Load()) }

// Stop ends the store: it may finish what it runs, within the grace period of its options. Stop returns when it is gone.
func (s *Supervisor) Stop() {
	s.cancel()
	<-s.done
}

// pickPort replaces port 0 by a free one, so that a store that is started again is found where it was.
func pickPort(listen *string) error {
	host, port, err := net.SplitHostPort(*listen)
	if err != nil {
		return fmt.Errorf("store address %s: %w", *listen, err)
	}
	if port != "0" {
		return nil
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return fmt.Errorf("store address %s: %w", *listen, err)
	}
	defer l.Close()
	*listen = l.Addr().String()
	return nil
}

// watch starts the store again whenever it ends, until ctx ends.
func (s *Supervisor) watch(ctx context.Context, c *child) {
	defer close(s.done)
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval = 200 * time.Millisecond
	pause.MaxInterval = 30 * time.Second
	for {
		started := time.Now()
		select {
		case <-ctx.Done():
			c.stop(s.o.Grace + 5*time.Second)
			s.pid.Store(0)
			return
		case <-c.ended:
			s.pid.Store(0)
		}
		if time.Since(started) > time.Minute {
			pause.Reset()
		}
		for c = nil; c == nil; {
			wait := pause.NextBackOff()
			s.restarts.Add(1)
			s.o.Log.Error("store ended and is started again", zap.Error(c.failure()), zap.Duration("after", wait), zap.Uint64("restarts", s.restarts.Load()))
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
			var err error
			if c, err = s.launch(); err != nil {
				s.o.Log.Error("store does not start", zap.Error(err))
			}
		}
	}
}

// child is one process of the store.
type child struct {
	cmd   *exec.Cmd
	life  io.Closer // the write end of the pipe that the child watches: closed, it stops
	ended chan struct{}

	mu   sync.Mutex
	last string // the last line on its stderr
	err  error  // how it ended
}

// launch starts a child. It learns of this process's end in two ways: the kernel's signal, and the end of its stdin.
func (s *Supervisor) launch() (*child, error) {
	cmd := s.o.Command(s.o.Options.Arguments())
	if cmd.Env == nil {
		cmd.Env = environment(os.Environ()) // not nil, which means all of it
	}
	// The engine takes its time zone from TZ; everything here is UTC.
	cmd.Env = append(cmd.Env, "TZ=UTC", passwordEnv+"="+s.o.Password)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("store process: %w", err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("store process: %w", err)
	}
	c := &child{cmd: cmd, life: stdin, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel sends Pdeathsig when the thread that made the child ends, so that thread is kept.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		c.read(stderr, s.o.Log)
		c.setErr(cmd.Wait())
		close(c.ended)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("store process %s: %w", cmd.Path, err)
	}
	s.pid.Store(int64(cmd.Process.Pid))
	return c, nil
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
		c.mu.Lock()
		c.last = line
		c.mu.Unlock()
		log.Info(line)
	}
	io.Copy(io.Discard, stderr)
}

func (c *child) setErr(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

// failure is why the child ended: its own last words where it had any.
func (c *child) failure() error {
	if c == nil {
		return errors.New("it did not start")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.last != "":
		return errors.New(c.last)
	case c.err != nil:
		return c.err
	}
	return errors.New("it ended without a word")
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

// waitUntilUp returns when the store answers /ping, or with the child's own words when it ended.
func (s *Supervisor) waitUntilUp(ctx context.Context, c *child) error {
	client := &http.Client{Timeout: 5 * time.Second}
	for {
		if s.answers(ctx, client, c) {
			return nil
		}
		select {
		case <-c.ended:
			return c.failure()
		case <-ctx.Done():
			return fmt.Errorf("store on %s did not answer in time: %w", s.o.Listen, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// answers says whether it is this child that answers, and not another server on the same port.
func (s *Supervisor) answers(ctx context.Context, client *http.Client, c *child) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/ping", nil)
	if err != nil {
		return false
	}
	res, err := client.Do(r)
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK && res.Header.Get(processHeader) == strconv.Itoa(c.cmd.Process.Pid)
}

// waitForParent returns when the process that began this one has ended, or closed the pipe between them.
func waitForParent() { io.Copy(io.Discard, os.Stdin) }
