package listen

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"github.com/metranova/flow-collector/decoder/exporter"
)

func openWorkers(t testing.TB, o Options) []*Worker {
	t.Helper()
	if len(o.Addresses) == 0 {
		o.Addresses = []string{"127.0.0.1:0"}
	}
	if o.ReceiveBuffer == 0 {
		o.ReceiveBuffer = 1 << 20
	}
	workers, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, w := range workers {
			w.Close()
			w.Free()
		}
	})
	return workers
}

// sender is a UDP socket that sends to a worker's first address.
func sender(t testing.TB, network, local string, port uint16) net.Conn {
	t.Helper()
	from, err := net.ResolveUDPAddr(network, local)
	if err != nil {
		t.Fatal(err)
	}
	host := "127.0.0.1"
	if network == "udp6" {
		host = "::1"
	}
	conn, err := net.DialUDP(network, from, &net.UDPAddr{IP: net.ParseIP(host), Port: int(port)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func send(t testing.TB, conn net.Conn, payload []byte) {
	t.Helper()
	if _, err := conn.Write(payload); err != nil {
		t.Fatal(err)
	}
}

// receive collects n datagrams, copied; fewer if they do not come in time.
func receive(t testing.TB, w *Worker, n int) []exporter.Datagram {
	t.Helper()
	var all []exporter.Datagram
	for deadline := time.Now().Add(5 * time.Second); len(all) < n && time.Now().Before(deadline); {
		batch, err := w.Receive(50 * time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range batch {
			d.Payload = bytes.Clone(d.Payload)
			all = append(all, d)
		}
	}
	return all
}

func TestDatagramsArriveWholeAndInOrder(t *testing.T) {
	w := openWorkers(t, Options{})[0]
	conn := sender(t, "udp4", "127.0.0.1:0", w.sockets[0].port)
	sizes := []int{0, 1, 1500, 9000, 65507}
	before := time.Now()
	for _, size := range sizes {
		send(t, conn, bytes.Repeat([]byte{byte(size)}, size))
	}
	got := receive(t, w, len(sizes))
	if len(got) != len(sizes) {
		t.Fatalf("%d datagrams, want %d", len(got), len(sizes))
	}
	local := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	for i, d := range got {
		if len(d.Payload) != sizes[i] || d.Truncated {
			t.Errorf("datagram %d has %d bytes, truncated %t; want %d", i, len(d.Payload), d.Truncated, sizes[i])
		}
		if d.Source != local {
			t.Errorf("datagram %d is from %s, want %s", i, d.Source, local)
		}
		// The kernel's clock and ours are one.
		if received := time.Unix(0, d.Received); received.Before(before.Add(-time.Second)) ||
			received.After(time.Now()) {
			t.Errorf("datagram %d was received at %s", i, received)
		}
	}
	if s := w.Stats(); s.Datagrams != uint64(len(sizes)) || s.Bytes != 1+1500+9000+65507 {
		t.Errorf("stats %+v", s)
	}
}

func TestCase58TruncationIsSeen(t *testing.T) {
	w := openWorkers(t, Options{BufferSize: 100})[0]
	conn := sender(t, "udp4", "127.0.0.1:0", w.sockets[0].port)
	send(t, conn, make([]byte, 100))
	send(t, conn, make([]byte, 101))
	got := receive(t, w, 2)
	if len(got) != 2 || got[0].Truncated || !got[1].Truncated || len(got[1].Payload) != 100 {
		t.Fatalf("got %+v", got)
	}
	if s := w.Stats(); s.Truncated != 1 {
		t.Errorf("%d truncated, want 1", s.Truncated)
	}
}

func TestCase59MappedSourcesAreUnmapped(t *testing.T) {
	w := openWorkers(t, Options{Addresses: []string{":0"}})[0]
	for _, test := range []struct{ network, local, want string }{
		{"udp4", "127.0.0.1:0", "127.0.0.1"},
		{"udp6", "[::1]:0", "::1"},
	} {
		send(t, sender(t, test.network, test.local, w.sockets[0].port), []byte("x"))
		got := receive(t, w, 1)
		if len(got) != 1 || got[0].Source.Addr() != netip.MustParseAddr(test.want) {
			t.Errorf("%s: got %+v, want source %s", test.network, got, test.want)
		}
	}
	if got := unmapped(netip.MustParseAddr("fe80::1%eth0")); got != netip.MustParseAddr("fe80::1") {
		t.Errorf("a zone stays: %s", got)
	}
}

func TestCase60OneSourceReachesOneWorker(t *testing.T) {
	workers := openWorkers(t, Options{Workers: 2})
	if len(workers) != 2 {
		t.Fatalf("%d workers: the kernel does not steer", len(workers))
	}
	port := workers[0].sockets[0].port
	const ports, hosts = 20, 16
	for host := range hosts {
		for range ports {
			send(t, sender(t, "udp4", fmt.Sprintf("127.0.1.%d:0", host+1), port), []byte("x"))
		}
	}
	seen := [2]map[netip.Addr]int{{}, {}}
	total := 0
	for i, w := range workers {
		for quiet := 0; quiet < 3; {
			batch, err := w.Receive(20 * time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if len(batch) == 0 {
				quiet++
			}
			for _, d := range batch {
				seen[i][d.Source.Addr()]++
				total++
			}
		}
	}
	if total != hosts*ports {
		t.Errorf("%d datagrams, want %d", total, hosts*ports)
	}
	for host, n := range seen[0] {
		if n != ports || seen[1][host] != 0 {
			t.Errorf("%s: %d datagrams at one worker, %d at the other", host, n, seen[1][host])
		}
	}
	if len(seen[0]) == 0 || len(seen[1]) == 0 {
		t.Errorf("all sources went to one worker: %d and %d", len(seen[0]), len(seen[1]))
	}
}

func TestOnlyAllowedExporters(t *testing.T) {
	w := openWorkers(t, Options{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.2.0/24")}})[0]
	send(t, sender(t, "udp4", "127.0.3.1:0", w.sockets[0].port), []byte("refused"))
	send(t, sender(t, "udp4", "127.0.2.1:0", w.sockets[0].port), []byte("allowed"))
	got := receive(t, w, 1)
	if len(got) != 1 || string(got[0].Payload) != "allowed" {
		t.Errorf("got %+v", got)
	}
	if s := w.Stats(); s.Refused != 1 || s.Datagrams != 1 {
		t.Errorf("stats %+v", s)
	}
	if r := w.Refusals(); len(r) != 1 || r[netip.MustParseAddr("127.0.3.1")] != 1 {
		t.Errorf("refused: %v", r)
	}
}

// Agents may be listed as well as sources: a relay sends for those that are, and for itself.
func TestOnlyAllowedAgents(t *testing.T) {
	prefix := netip.MustParsePrefix
	w := openWorkers(t, Options{Allowed: []netip.Prefix{prefix("127.0.2.0/24")},
		Agents: []netip.Prefix{prefix("192.0.2.0/28"), prefix("2001:db8::7/128")}})[0]
	sflow := func(agent string) []byte {
		a := netip.MustParseAddr(agent)
		b := []byte{0, 0, 0, 5, 0, 0, 0, 1}
		if a.Is6() {
			b[7] = 2
		}
		return append(append(b, a.AsSlice()...), make([]byte, 16)...)
	}
	relay, other := sender(t, "udp4", "127.0.2.1:0", w.sockets[0].port),
		sender(t, "udp4", "127.0.3.1:0", w.sockets[0].port)
	for _, agent := range []string{"192.0.2.99", "2001:db8::8", "127.0.2.2"} {
		send(t, relay, sflow(agent))
	}
	send(t, other, sflow("192.0.2.1")) // an allowed agent, but not an allowed source
	allowed := [][]byte{sflow("192.0.2.1"), sflow("2001:db8::7"), sflow("127.0.2.1"), sflow("0.0.0.0"),
		sflow("192.0.2.99")[:11], []byte("NetFlow")}
	for _, b := range allowed {
		send(t, relay, b)
	}
	got := receive(t, w, len(allowed))
	for i, b := range allowed {
		if i >= len(got) || !bytes.Equal(got[i].Payload, b) {
			t.Errorf("datagram %d is not %x", i, b)
		}
	}
	want := map[netip.Addr]uint64{}
	for _, who := range []string{"192.0.2.99", "2001:db8::8", "127.0.2.2", "127.0.3.1"} {
		want[netip.MustParseAddr(who)] = 1
	}
	if r := w.Refusals(); !maps.Equal(r, want) {
		t.Errorf("refused: %v, want %v", r, want)
	}
	w.Allow([]netip.Prefix{prefix("127.0.2.0/24")}, nil)
	send(t, relay, sflow("192.0.2.99"))
	if got := receive(t, w, 1); len(got) != 1 {
		t.Error("an agent is refused though none is listed")
	}
}

func TestSmallReceiveBufferIsReported(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	openWorkers(t, Options{Workers: 2, Addresses: []string{"127.0.0.1:0", "127.0.0.1:0"}, ReceiveBuffer: 1 << 30,
		Log: zap.New(core)})
	lines := logs.FilterMessageSnippet("receive buffer").All()
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(s)
	if unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 1<<30) == nil {
		t.Skip("the kernel gives any receive buffer here (CAP_NET_ADMIN)")
	}
	if len(lines) != 1 || !strings.Contains(fmt.Sprint(lines[0].ContextMap()["fix"]), "net.core.rmem_max=1073741824") {
		t.Errorf("logged %v, want one line that names net.core.rmem_max", lines)
	}
}

func TestErrorsNameTheAddress(t *testing.T) {
	taken := openWorkers(t, Options{})[0].sockets[0].name
	shared := openWorkers(t, Options{Workers: 2})[0].sockets[0].name
	tests := []struct{ name, address, want string }{
		{"in use", taken, "another program has this port"},
		{"in use by sockets that share it", shared, "another program has this port"},
		{"not ours", "192.0.2.77:2055", "cannot assign requested address"},
		{"no port", "127.0.0.1", "not host:port"},
		{"port out of range", "127.0.0.1:70000", `"70000" is not a port`},
		{"a name", "collector.example:2055", "is not an IP address"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Open(Options{Addresses: []string{test.address}, Workers: 2, ReceiveBuffer: 1 << 16})
			if err == nil || !strings.Contains(err.Error(), test.address) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q and %q", err, test.address, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("error of several lines: %v", err)
			}
		})
	}
}

func TestCloseDrainsAndWakes(t *testing.T) {
	w := openWorkers(t, Options{})[0]
	conn := sender(t, "udp4", "127.0.0.1:0", w.sockets[0].port)
	waiting := make(chan error, 1)
	go func() {
		_, err := w.Receive(time.Minute)
		for err == nil {
			_, err = w.Receive(time.Minute)
		}
		waiting <- err
	}()
	time.Sleep(20 * time.Millisecond)
	send(t, conn, []byte("last"))
	w.Close()
	w.Close()
	select {
	case err := <-waiting:
		if !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("Receive still waits after Close")
	}
	if s := w.Stats(); s.Datagrams != 1 {
		t.Errorf("%d datagrams before the end, want 1", s.Datagrams)
	}
}

// Few datagrams at a time: after the pause that lets others come, none is left behind, of no socket.
func TestDatagramsGather(t *testing.T) {
	w := openWorkers(t, Options{Addresses: []string{"127.0.0.1:0", "127.0.0.1:0"}, ReceiveBuffer: gatherBuffer})[0]
	if w.buffer < gatherBuffer {
		t.Skip("the kernel gives no receive buffer that is large enough: sysctl -w net.core.rmem_max=4194304")
	}
	first, second := sender(t, "udp4", "127.0.0.1:0", w.sockets[0].port),
		sender(t, "udp4", "127.0.0.1:0", w.sockets[1].port)
	for n := range 3 {
		for range n + 1 {
			send(t, first, []byte("one"))
			send(t, second, []byte("two"))
		}
		if got := receive(t, w, 2*(n+1)); len(got) != 2*(n+1) {
			t.Fatalf("%d datagrams of %d", len(got), 2*(n+1))
		}
		if got, err := w.Receive(time.Millisecond); err != nil || len(got) != 0 {
			t.Fatalf("%d datagrams more, %v", len(got), err)
		}
	}
}

func TestAddresses(t *testing.T) {
	w := openWorkers(t, Options{Workers: 2, Addresses: []string{"127.0.0.1:0", ":0", "[::1]:0"}})
	first := w[0].Addresses()
	if !slices.Equal(first, w[1].Addresses()) || len(first) != 3 || strings.HasSuffix(first[0], ":0") {
		t.Errorf("workers listen on %v and %v", first, w[1].Addresses())
	}
}

func TestReceiveAllocatesNothing(t *testing.T) {
	w := openWorkers(t, Options{})[0]
	conn := sender(t, "udp4", "127.0.0.1:0", w.sockets[0].port)
	payload := make([]byte, 500)
	allocations := testing.AllocsPerRun(200, func() {
		send(t, conn, payload)
		if _, err := w.Receive(time.Second); err != nil {
			t.Fatal(err)
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations a call", allocations)
	}
}

func BenchmarkReceive(b *testing.B) {
	w := openWorkers(b, Options{ReceiveBuffer: 64 << 20})[0]
	conn := sender(b, "udp4", "127.0.0.1:0", w.sockets[0].port)
	payload := make([]byte, 1400)
	b.ReportAllocs()
	b.SetBytes(1400)
	for done := 0; done < b.N; {
		b.StopTimer()
		for range BatchDatagrams {
			send(b, conn, payload)
		}
		b.StartTimer()
		for got := 0; got < BatchDatagrams; {
			batch, err := w.Receive(time.Second)
			if err != nil {
				b.Fatal(err)
			}
			got += len(batch)
		}
		done += BatchDatagrams
	}
}
