package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/metranova/flow-collector/collector/service"
	"github.com/metranova/flow-collector/collector/testkit"
)

// process is `collector run` as a process of its own. Its server is down: rows go to its spool.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	udp   string
	http  string
	ended chan error
}

func startProcess(t *testing.T, stderr io.Writer, environ ...string) *process {
	t.Helper()
	p := &process{t: t, udp: testkit.FreePort(t), http: testkit.FreePort(t), ended: make(chan error, 1)}
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Dir = t.TempDir()
	p.cmd.Env = append(os.Environ(), runEnv+"=run", "LISTEN="+p.udp, "HTTP_LISTEN="+p.http,
		"CLICKHOUSE_HOST="+testkit.FreePort(t))
	p.cmd.Env = append(p.cmd.Env, environ...)
	p.cmd.Stderr = stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	testkit.WaitFor(t, "the collector to receive", func() bool {
		_,
			body := p.get("/readyz")
		return strings.Contains(body, "tables are not made")
	})
	return p
}

// get asks for a path; 0 where nobody answers.
func (p *process) get(path string) (int, string) {
	answer, err := http.Get("http://" + p.http + path)
	if err != nil {
		return 0, ""
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(body)
}

// receives sends datagrams and waits until they are counted.
func (p *process) receives() {
	p.t.Helper()
	testkit.Send(p.t, p.udp, testkit.Payloads(p.t, "softflowd-v9")...)
	testkit.WaitFor(p.t, "the records to be counted", func() bool {
		_, metrics := p.get("/metrics")
		return strings.Contains(metrics, "flow_collector_records_total{") && strings.Contains(metrics, "} 230\n")
	})
}

// end waits for the end of the process.
func (p *process) end() *os.ProcessState {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(testkit.Patience):
		p.t.Fatal("the collector does not end")
	}
	return p.cmd.ProcessState
}

// The end of who reads the log is not the end of the collector.
func TestRun_logReaderGoes(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, writer)
	writer.Close()
	reader.Close()
	for range 3 { // each is a line at least
		_ = p.cmd.Process.Signal(syscall.SIGHUP)
		time.Sleep(10 * time.Millisecond)
	}
	p.receives()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if state := p.end(); !state.Exited() {
		t.Errorf("ended by %s, want an end of its own", state)
	}
}

// Nor does a reader that stops reading keep it from receiving or from stopping.
func TestRun_logReaderStops(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	size, err := unix.FcntlInt(writer.Fd(), unix.F_GETPIPE_SZ, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Write(bytes.Repeat([]byte("."), size)); err != nil { // no line fits
		t.Fatal(err)
	}
	p := startProcess(t, writer, "CLICKHOUSE_BATCH_TIMEOUT=1")
	writer.Close()
	p.receives()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if state := p.end(); !state.Exited() {
		t.Errorf("ended by %s, want an end of its own", state)
	}
}

// A second signal ends it at once, whatever the first one waits for.
func TestRun_secondSignal(t *testing.T) {
	var log bytes.Buffer
	config := t.TempDir() + "/collector.yml"
	if err := os.WriteFile(config, []byte("batch: {grace: 10m, age: 100ms}\nspool: {path: \"\"}\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, &log, runEnv+"=run --config "+config)
	p.receives()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	time.Sleep(2 * service.SignalDebounce) // an earlier one is taken for the same
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if code := p.end().ExitCode(); code != 1 {
		t.Errorf("it ended with %d, want 1", code)
	}
	if !strings.Contains(log.String(), "stopped at once") {
		t.Errorf("the log says nothing of it:\n%s", &log)
	}
}
