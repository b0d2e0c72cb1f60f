package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
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
	p := &process{t: t, udp: freePort(t), http: freeTCPPort(t), ended: make(chan error, 1)}
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Dir = t.TempDir()
	p.cmd.Env = append(os.Environ(), runEnv+"=run", "LISTEN="+p.udp, "HTTP_LISTEN="+p.http,
		"CLICKHOUSE_HOST="+freeTCPPort(t))
	p.cmd.Env = append(p.cmd.Env, environ...)
	p.cmd.Stderr = stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	waitFor(t, "the collector to receive", func() bool {
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
	send(p.t, p.udp, payloads(p.t, "softflowd-v9")...)
	waitFor(p.t, "the records to be counted", func() bool {
		_, metrics := p.get("/metrics")
		return strings.Contains(metrics, "flow_collector_records_total{") && strings.Contains(metrics, "} 230\n")
	})
}

// end waits for the end of the process.
func (p *process) end() *os.ProcessState {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(testPatience):
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
	time.Sleep(2 * signalDebounce) // an earlier one is taken for the same
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if code := p.end().ExitCode(); code != 1 {
		t.Errorf("it ended with %d, want 1", code)
	}
	if !strings.Contains(log.String(), "stopped at once") {
		t.Errorf("the log says nothing of it:\n%s", &log)
	}
}

// What a start opened is closed again where the start fails.
func TestServe_failedStartLeavesNothingOpen(t *testing.T) {
	for name, environ := range map[string][]string{
		"the page's port is in use":  {"HTTP_LISTEN=%IN_USE%"},
		"the spool cannot be opened": {"SPOOL_PATH=/dev/null/spool"},
		"Kafka's codec is none": {"KAFKA_OUTPUT_TOPIC=flows", "KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:1",
			"KAFKA_SPOOL_PATH=/dev/null/spool"},
		"the store has no engine":        {"STORE_ENGINE=/dev/null/none", "CLICKHOUSE_HOST="},
		"the forwarder's target is this": {"FORWARD_TO=%UDP%"},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			udp, spool := freePort(t), t.TempDir()
			environ := append([]string{"LISTEN=" + udp, "SPOOL_PATH=" + spool, "CLICKHOUSE_HOST=127.0.0.1:1",
				"CACHE_DIR=" + t.TempDir()}, environ...)
			for i, line := range environ {
				environ[i] = strings.NewReplacer("%IN_USE%", l.Addr().String(), "%UDP%", udp).Replace(line)
			}
			before := openFiles(t)
			err = serve(configFor(t, environ...), zap.NewNop(), nil, io.Discard, serveOptions{})
			if err == nil {
				t.Fatal("it started")
			}
			waitFor(t, fmt.Sprintf("no more than %d open files after %v", before, err),
				func() bool { return openFiles(t) <= before })
			socket, err := net.ListenPacket("udp4", udp)
			if err != nil {
				t.Fatalf("the port is not free again: %v", err)
			}
			socket.Close()
		})
	}
}

// openFiles is how many files and sockets this process has open.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc here")
	}
	return len(entries)
}
