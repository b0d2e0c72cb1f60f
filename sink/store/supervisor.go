package store

import (
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
	// StartTimeout is how long Start waits for the store to answer; after that it returns, and the store goes on
	// opening. 0: as long as it takes, which can be minutes with many parts, on a slow disk or after a crash.
	StartTimeout time.Duration
	// Early has Start return as soon as the store has all that it needs and opens its tables. WaitOpen waits for the
	// rest.
	Early bool
}

// Supervisor keeps a store running in a child process. Its methods may be called by several goroutines.
type Supervisor struct {
	o        SupervisorOptions
	url      string
	client   *http.Client
	restarts atomic.Uint64
	pid      atomic.Int64
	lastEnd  atomic.Pointer[End]
	openOnce sync.Once
	open     chan struct{} // closed when the store has answered for the first time
	cancel   context.CancelFunc
	done     chan struct{}
	refusal  error // why it cannot be started; read after done
}

// End is how a store ended that nobody asked to end.
type End struct {
	Time   time.Time
	Reason string // in one line: the signal or status, and its last words
}

// Start runs a store in a child process and returns when it answers, or as StartTimeout and Early say. A store that
// cannot be started is an error. A child that ends later is started again, after a pause that grows while it keeps
// failing. The store ends with Stop, with ctx, or with this process, however that ends.
func Start(ctx context.Context, o SupervisorOptions) (*Supervisor, error) {
	var err error
	if o.Options, err = o.resolve(); err != nil {
		return nil, err
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
		if err == nil || try == 5 || !strings.HasSuffix(o.Listen, ":0") ||
			!strings.Contains(err.Error(), "address already in use") {
			return s, err
		}
	}
}

// start is one try to start.
func start(ctx context.Context, o SupervisorOptions) (*Supervisor, error) {
	if err := pickPort(&o.Listen); err != nil {
		return nil, err
	}
	s := &Supervisor{
		o: o, url: "http://" + o.Listen, client: &http.Client{Timeout: 5 * time.Second},
		open: make(chan struct{}), done: make(chan struct{}),
	}
	c, err := s.launch()
	if err != nil {
		return nil, err
	}
	progress := make(chan state, 2) // opening and open
	life, cancel := context.WithCancel(ctx)
	s.cancel = cancel
	go s.follow(life, c, progress)
	var timeout <-chan time.Time
	if o.StartTimeout > 0 {
		timeout = time.After(o.StartTimeout)
	}
	for waiting := true; waiting; {
		select {
		case got := <-progress:
			waiting = got < isOpen && !o.Early
		case <-timeout:
			waiting = false
		case <-c.ended:
			cancel()
			return nil, errors.New(c.failure())
		case <-ctx.Done():
			cancel()
			c.kill()
			return nil, fmt.Errorf("store on %s: %w", o.Listen, ctx.Err())
		}
	}
	go s.watch(life, c)
	return s, nil
}

// WaitOpen returns when the store has answered for the first time. It fails where the store cannot be started and this
// was not known yet when Start returned: its first process ended by itself before it had all that it needs, such as the
// lock of its directory.
func (s *Supervisor) WaitOpen(ctx context.Context) error {
	select {
	case <-s.open:
		return nil
	case <-s.done:
		if s.refusal != nil {
			return s.refusal
		}
		return fmt.Errorf("store on %s: it ended before it was open", s.o.Listen)
	case <-ctx.Done():
		return fmt.Errorf("store on %s is not open yet: %w", s.o.Listen, ctx.Err())
	}
}

// LastEnd is how the store last ended by itself; nil if it never did.
func (s *Supervisor) LastEnd() *End { return s.lastEnd.Load() }

// URL is where the store answers, such as "http://127.0.0.1:8123".
func (s *Supervisor) URL() string { return s.url }

// Restarts is how often the store ended by itself and was started again.
func (s *Supervisor) Restarts() uint64 { return s.restarts.Load() }

// PID is the process of the running store, 0 while there is none.
func (s *Supervisor) PID() int { return int(s.pid.Load()) }

// Stop ends the store: it may finish what it runs, within the grace period of its options. Stop returns when it is
// gone.
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
		reason := c.failure()
		if s.restarts.Load() == 0 && c.cannotStart() {
			s.refusal = errors.New(reason)
			return
		}
		for c = nil; c == nil; {
			wait := pause.NextBackOff()
			s.restarts.Add(1)
			s.lastEnd.Store(&End{time.Now(), reason})
			s.o.Log.Error("store ended and is started again", zap.String("reason", reason), zap.Duration("after", wait),
				zap.Uint64("restarts", s.restarts.Load()))
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
			var err error
			if c, err = s.launch(); err != nil {
				reason = err.Error()
				continue
			}
			go s.follow(ctx, c, nil)
		}
	}
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

// state is how far a child has come.
type state int

const (
	isStarting state = iota
	isOpening
	isOpen
)

const (
	openInterval = 20 * time.Millisecond // between two questions whether the store is open; it grows
	openSlowly   = time.Second
	openNotice   = 10 * time.Second // between two lines that it is not
)

// follow polls a child's state until it is open or has ended. It reports each step to progress and logs if opening
// takes long.
func (s *Supervisor) follow(ctx context.Context, c *child, progress chan<- state) {
	started, told, reached, interval := time.Now(), time.Now(), isStarting, openInterval
	for {
		if got := s.ask(ctx, c); got > reached {
			reached = got
			c.reached.Store(int32(got))
			if progress != nil {
				progress <- got
			}
		}
		if reached == isOpen {
			s.opened()
			return
		}
		if time.Since(told) >= openNotice {
			told = time.Now()
			s.o.Log.Warn("store is still opening: rows wait",
				zap.Duration("since", time.Since(started).Round(time.Second)))
		}
		select {
		case <-c.ended:
			return
		case <-ctx.Done():
			return
		case <-time.After(interval):
			if time.Since(started) > 10*time.Second {
				interval = openSlowly
			}
		}
	}
}

func (s *Supervisor) opened() {
	s.openOnce.Do(func() { close(s.open) })
}

// ask returns this child's state. An answer of another server on the same port does not count.
func (s *Supervisor) ask(ctx context.Context, c *child) state {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.pingURL(), nil)
	if err != nil {
		return isStarting
	}
	res, err := s.client.Do(r)
	if err != nil {
		return isStarting
	}
	res.Body.Close()
	switch {
	case res.Header.Get(processHeader) != strconv.Itoa(c.cmd.Process.Pid):
		return isStarting
	case res.StatusCode == http.StatusOK:
		return isOpen
	case res.Header.Get(stateHeader) == stateOpening:
		return isOpening
	}
	return isStarting
}

// pingURL is where this host reaches the store: through loopback where it listens on every address.
func (s *Supervisor) pingURL() string {
	host, port, err := net.SplitHostPort(s.o.Listen)
	if err == nil {
		switch addr := net.ParseIP(host); {
		case host == "", addr != nil && addr.IsUnspecified() && addr.To4() != nil:
			host = "127.0.0.1"
		case addr != nil && addr.IsUnspecified():
			host = "::1"
		}
		return "http://" + net.JoinHostPort(host, port) + "/ping"
	}
	return s.url + "/ping"
}

// waitForParent returns when the parent process has ended or has closed the pipe.
func waitForParent() { io.Copy(io.Discard, os.Stdin) }
