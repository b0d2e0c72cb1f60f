package service

import (
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/metranova/flow-collector/collector/testkit"
)

// A worker that cannot receive any more ends the collector with an error of one line, and what came before is
// delivered.
func TestServe_endsWhenAWorkerCannotReceive(t *testing.T) {
	r := startServe(t, "CLICKHOUSE_FLOW_TTL=")
	testkit.Send(t, r.address, testkit.Payloads(t, "softflowd-v9")...)
	testkit.WaitFor(t, "the datagrams", func() bool {
		return testkit.Ask(t, r.cfg, "SELECT count() FROM data_flow") == "230"
	})
	breakSocket(t, netip.MustParseAddrPort(r.address).Port())
	select {
	case err := <-r.ended:
		if err == nil || !strings.Contains(err.Error(), "receive on UDP "+r.address) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("ended with %v, want one line that names %s", err, r.address)
		}
	case <-time.After(time.Minute):
		t.Fatal("the collector goes on")
	}
	if got := testkit.Ask(t, r.cfg, "SELECT count() FROM data_flow"); got != "230" {
		t.Errorf("%s rows of what came before, want 230", got)
	}
}

// breakSocket puts a file in the place of this process's UDP socket of a port.
func breakSocket(t *testing.T, port uint16) {
	t.Helper()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	broken := 0
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
		if err != nil || kind != unix.SOCK_DGRAM {
			continue
		}
		name, err := unix.Getsockname(fd)
		if four, is4 := name.(*unix.SockaddrInet4); err != nil || !is4 || four.Port != int(port) {
			continue
		}
		if err := unix.Dup3(int(null.Fd()), fd, unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		broken++
	}
	if broken == 0 {
		t.Fatalf("no socket of port %d", port)
	}
}

// Other parts of the process end it as well, the first one with its error; a signal does so without one.
func TestAwaitStop(t *testing.T) {
	first, second := os.ErrClosed, os.ErrDeadlineExceeded
	failed := make(failures, 1)
	failed.add(nil)
	failed.add(first)
	failed.add(second)
	if err := awaitStop(nil, nil, failed); err != first {
		t.Errorf("ended with %v, want %v", err, first)
	}
	signals := make(chan os.Signal, 2)
	signals <- syscall.SIGHUP
	signals <- syscall.SIGTERM
	hangups := 0
	if err := awaitStop(signals, func() { hangups++ }, failed); err != nil || hangups != 1 {
		t.Errorf("ended with %v after %d hangups, want no error and one", err, hangups)
	}
}

// A burst that overflows the socket, and a stop right behind it: what was sent was decoded, or is in collector_loss as
// dropped before that, to the last datagram, and the summary says so. Which of the drops there are besides those for
// want of memory depends on how fast the machine is.
func TestServe_burstThatOverflowsASocket(t *testing.T) {
	cfg := testkit.Config(t, "CLICKHOUSE_FLOW_TTL=", "LISTEN="+testkit.FreePort(t))
	cfg.Listen.ReceiveBuffer = 1 << 13
	r := startConfigured(t, cfg, testkit.Patience)
	socket, err := net.Dial("udp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	all := testkit.Payloads(t, "softflowd-v9")
	const sent = 20000
	for n := range sent {
		if _, err := socket.Write(all[n%len(all)]); err != nil {
			t.Fatal(err)
		}
	}
	r.stop(t)
	counts := map[string]int{}
	sum := 0
	rows := testkit.Ask(t, r.cfg, `SELECT stage || ' ' || reason, sum(count) FROM collector_loss
		WHERE unit = 'datagrams' AND (stage IN ('kernel', 'overload') OR stage = 'received' AND what = 'datagrams') `+
		`GROUP BY ALL`)
	for line := range strings.Lines(rows) {
		name, count, _ := strings.Cut(strings.TrimSpace(line), "\t")
		n, err := strconv.Atoi(count)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		counts[name] = n
		sum += n
	}
	dropped := counts["kernel receive_buffer"]
	if dropped == 0 || sum != sent {
		t.Errorf("collector_loss has %v, want some dropped for want of memory and %d in all", counts, sent)
	}
	for name, what := range map[string]string{
		"kernel receive_buffer": "datagrams dropped by the kernel",
		"kernel stopping":       "datagrams that came while the collector stopped",
		"overload share":        "datagrams of sources that took more than their share",
	} {
		if n := counts[name]; n > 0 && !strings.Contains(r.summary.String(), strconv.Itoa(n)+" × "+what) {
			t.Errorf("the summary does not tell of %d %s:\n%s", n, what, &r.summary)
		}
	}
}
