package outage

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a program that was started here.
type process struct {
	name  string
	cmd   *exec.Cmd
	lines chan string // what it says, those nobody reads are dropped
	ended chan struct{}
}

// start runs a program whose standard error goes to a log file.
func start(name, log string, cmd *exec.Cmd) (*process, error) {
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
	p := &process{name: name, cmd: cmd, lines: make(chan string, 1024), ended: make(chan struct{})}
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

// await waits for a line that has the text.
func (p *process) await(ctx context.Context, text string, atMost time.Duration) error {
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

// stop sends a signal and waits for the end.
func (p *process) stop(signal syscall.Signal) {
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.ended:
	case <-time.After(2 * time.Minute):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// resident is the process's resident memory in bytes, the one of now; 0 where it is gone.
func (p *process) resident() int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.SplitSeq(string(status), "\n") {
		if rest, found := strings.CutPrefix(line, "VmRSS:"); found {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}

// startStore runs the store on its directory.
func (r *run) startStore() error {
	cmd := exec.Command(r.o.Collector, "store", "-path", r.storeDir, "-listen", r.storeAddr, "-engine", r.o.Engine)
	store, err := start("store", filepath.Join(r.o.Dir, "store.log"), cmd)
	if err != nil {
		return err
	}
	r.store = store
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if conn, err := net.DialTimeout("tcp", r.storeAddr, time.Second); err == nil {
			return conn.Close()
		}
		select {
		case <-store.ended:
			return fmt.Errorf("the store ended at once: see %s", filepath.Join(r.o.Dir, "store.log"))
		default:
		}
	}
	return fmt.Errorf("the store does not answer at %s", r.storeAddr)
}

// startCollector runs the collector and waits until it listens.
func (r *run) startCollector(ctx context.Context) error {
	host, port, err := net.SplitHostPort(r.proxy.addr)
	if err != nil {
		return err
	}
	cmd := exec.Command(r.o.Collector, "run")
	cmd.Env = append(os.Environ(),
		"CLICKHOUSE_HOST="+host, "CLICKHOUSE_PORT="+port, "LISTEN="+r.listen.String(), "HTTP_LISTEN=",
		"METADATA_DIR="+filepath.Join(r.o.Dir, "conf"), "CACHE_DIR="+filepath.Join(r.o.Dir, "caches"),
		"SPOOL_PATH="+filepath.Join(r.o.Dir, "spool"), "QUARANTINE_PATH="+filepath.Join(r.o.Dir, "quarantine"),
		"COLLECTOR_ID=outage")
	if r.collector, err = start("collector", filepath.Join(r.o.Dir, "collector.log"), cmd); err != nil {
		return err
	}
	return r.collector.await(ctx, "listening", time.Minute)
}
