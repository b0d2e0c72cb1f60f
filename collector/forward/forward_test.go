package forward

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/metranova/flow-collector/decoder/exporter"
)

// peer is another collector: a socket on a port that the kernel chose.
func peer(t testing.TB, network, host string) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP(network, &net.UDPAddr{IP: net.ParseIP(host)})
	if err != nil {
		t.Skipf("no %s here: %v", network, err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func addressOf(conn *net.UDPConn) netip.AddrPort {
	address := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(address.Addr().Unmap(), address.Port())
}

func open(t testing.TB, o Options) *Forwarder {
	t.Helper()
	f, err := Open(o)
	if errors.Is(err, unix.EPERM) {
		t.Skipf("needs CAP_NET_RAW: run as root: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// datagramsFrom are datagrams of one exporter with the given lengths and random content.
func datagramsFrom(source string, lengths ...int) []exporter.Datagram {
	random := rand.New(rand.NewPCG(1, 2))
	all := make([]exporter.Datagram, len(lengths))
	for i, n := range lengths {
		payload := make([]byte, n)
		for j := range payload {
			payload[j] = byte(random.Uint32())
		}
		all[i] = exporter.Datagram{Payload: payload, Source: netip.MustParseAddrPort(source)}
	}
	return all
}

// expect reads what the peer got and compares it with what was sent.
func expect(t *testing.T, conn *net.UDPConn, sent []exporter.Datagram, keptSource bool) {
	t.Helper()
	buffer := make([]byte, 1<<16)
	for i, d := range sent {
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		n, from, err := conn.ReadFromUDPAddrPort(buffer)
		if err != nil {
			t.Fatalf("datagram %d: %v", i, err)
		}
		if !bytes.Equal(buffer[:n], d.Payload) {
			t.Errorf("datagram %d: %d bytes came that differ from the %d sent", i, n, len(d.Payload))
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if (from == d.Source) != keptSource {
			t.Errorf("datagram %d came from %s, its exporter is %s", i, from, d.Source)
		}
	}
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if n, err := conn.Read(buffer); err == nil {
		t.Errorf("another datagram of %d bytes came", n)
	}
}

func TestEveryTargetGetsTheSameBytes(t *testing.T) {
	tests := []struct {
		name, network, host, source string
		keepSource                  bool
	}{
		{"IPv4", "udp4", "127.0.0.1", "198.51.100.7:50001", false},
		{"IPv6", "udp6", "::1", "[2001:db8::7]:50001", false},
		{"IPv4 to IPv6", "udp6", "::1", "198.51.100.7:50001", false},
		{"IPv4 with its source", "udp4", "127.0.0.1", "198.51.100.7:50001", true},
		{"IPv6 with its source", "udp6", "::1", "[2001:db8::7]:50001", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			one, two := peer(t, test.network, test.host), peer(t, test.network, test.host)
			f := open(t, Options{Targets: []netip.AddrPort{addressOf(one), addressOf(two)},
				KeepSource: test.keepSource})
			sent := datagramsFrom(test.source, 0, 1, 2, 3, 5, 1400, 1401, 9000, 65507)
			for range 70 { // more than one system call takes
				sent = append(sent, datagramsFrom(test.source, 64)...)
			}
			f.Send(sent, time.Now())
			expect(t, one, sent, test.keepSource)
			expect(t, two, sent, test.keepSource)
			for _, s := range f.Stats() {
				if s.Sent != uint64(len(sent)) || s.Lost != [reasons]uint64{} {
					t.Errorf("stats %+v, want %d sent", s, len(sent))
				}
			}
		})
	}
}

func TestWhatIsNotForwardedIsCounted(t *testing.T) {
	here := peer(t, "udp4", "127.0.0.1")
	gone := peer(t, "udp4", "127.0.0.1")
	nobody := addressOf(gone)
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	truncated := datagramsFrom("198.51.100.7:1", 100)
	truncated[0].Truncated = true
	tests := []struct {
		name       string
		target     netip.AddrPort
		keepSource bool
		datagrams  []exporter.Datagram
		reason     Reason
		lost       uint64
	}{
		// The last one is sent and its answer never asked for.
		{"nothing listens", nobody, false, datagramsFrom("198.51.100.7:1", 10, 10, 10), Refused, 2},
		{"truncated", addressOf(here), false, truncated, TooLong, 1},
		{"too long for IPv4", addressOf(here), false, datagramsFrom("198.51.100.7:1", 65508), TooLong, 1},
		{"too long for UDP", addressOf(here), true, datagramsFrom("198.51.100.7:1", 65528), TooLong, 1},
		{"the other family", addressOf(here), true, datagramsFrom("[2001:db8::7]:1", 10), OtherFamily, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := open(t, Options{Targets: []netip.AddrPort{test.target}, KeepSource: test.keepSource})
			after := datagramsFrom("198.51.100.7:2", 20)
			f.Send(append(test.datagrams, after...), time.Now())
			s := f.Stats()[0]
			if test.reason == Refused {
				test.lost++ // the one after learned of the last
			}
			if s.Lost[test.reason] != test.lost {
				t.Errorf("stats %+v, want %d × %s", s, test.lost, test.reason)
			}
			if test.target == addressOf(here) {
				expect(t, here, after, test.keepSource)
			}
			if test.reason == Refused && s.Sent != 4 {
				t.Errorf("%d sent, want 4: each is tried", s.Sent)
			}
		})
	}
}

// As where a packet filter says no: one datagram after the other is tried.
func TestWhatTheKernelRefusesIsCounted(t *testing.T) {
	f := &Forwarder{batch: new(batch),
		targets: []*target{{address: netip.MustParseAddrPort("192.0.2.1:2055"), fd: 1 << 20}}}
	f.Send(datagramsFrom("198.51.100.7:1", 10, 10), time.Now())
	if s := f.Stats()[0]; s.Lost[Failed] != 2 || s.Sent != 0 {
		t.Errorf("stats %+v, want 2 lost", s)
	}
}

func TestFullSendBufferDropsAndNeverWaits(t *testing.T) {
	here := peer(t, "udp4", "127.0.0.1")
	f := open(t, Options{Targets: []netip.AddrPort{addressOf(here)}})
	// A socket pair whose other end nobody reads is full soon, which loopback UDP never is.
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[1])
	f.targets[0].close()
	f.targets[0].fd = pair[0]
	const rounds = 100
	for range rounds {
		f.Send(datagramsFrom("198.51.100.7:1", 1000, 1000, 1000), time.Now())
	}
	s := f.Stats()[0]
	if s.Sent == 0 || s.Lost[Full] == 0 || s.Sent+s.Lost[Full] != 3*rounds {
		t.Errorf("stats %+v, want together %d", s, 3*rounds)
	}
}

// isolate gives the test a network of its own, of which only the loopback interface exists, with the MTU of an
// Ethernet. It is down until up is called.
func isolate(t *testing.T) (up func()) {
	t.Helper()
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("needs a network namespace: run as root: %v", err)
	}
	loopback(t, unix.SIOCSIFMTU, 1500)
	return func() { loopback(t, unix.SIOCSIFFLAGS, unix.IFF_UP) }
}

func loopback(t *testing.T, request uint, value uint32) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	change, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	change.SetUint32(value)
	if err := unix.IoctlIfreq(fd, request, change); err != nil {
		t.Fatal(err)
	}
}

// As at boot: a target without a route is no error, and is tried again.
func TestTargetWithoutARouteIsTriedAgain(t *testing.T) {
	up := isolate(t)
	here := peer(t, "udp4", "127.0.0.1")
	f := open(t, Options{Targets: []netip.AddrPort{addressOf(here)}})
	now := time.Now()
	f.Send(datagramsFrom("198.51.100.7:1", 10, 10), now)
	up()
	f.Send(datagramsFrom("198.51.100.7:1", 10), now)
	later := datagramsFrom("198.51.100.7:1", 30)
	f.Send(later, now.Add(retryAfter))
	expect(t, here, later, false)
	if s := f.Stats()[0]; s.Lost[Unreachable] != 3 || s.Sent != 1 {
		t.Errorf("stats %+v, want 3 lost and 1 sent", s)
	}
}

func TestDatagramsLongerThanTheMTUAreFragmented(t *testing.T) {
	for _, test := range []struct{ network, host, source string }{
		{"udp4", "127.0.0.1", "198.51.100.7:50001"},
		{"udp6", "::1", "[2001:db8::7]:50001"},
	} {
		for _, keepSource := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, keep source %t", test.network, keepSource), func(t *testing.T) {
				isolate(t)()
				here := peer(t, test.network, test.host)
				f := open(t, Options{Targets: []netip.AddrPort{addressOf(here)}, KeepSource: keepSource})
				sent := datagramsFrom(test.source, 1400, 1500, 9000)
				f.Send(sent, time.Now())
				expect(t, here, sent, keepSource)
			})
		}
	}
}

func TestResolve(t *testing.T) {
	for _, test := range []struct{ target, want, problem string }{
		{"192.0.2.1:2055", "192.0.2.1:2055", ""},
		{"[::ffff:192.0.2.1]:2055", "192.0.2.1:2055", ""},
		{"[2001:db8::1]:2055", "[2001:db8::1]:2055", ""},
		{"localhost:2055", "127.0.0.1:2055", ""},
		{"no-such-host.invalid:2055", "", "forward to no-such-host.invalid:2055"},
	} {
		got, err := Resolve(test.target)
		if test.problem != "" {
			if err == nil || !strings.Contains(err.Error(), test.problem) {
				t.Errorf("%s: error %v, want %q", test.target, err, test.problem)
			}
			continue
		}
		if err != nil || got.String() != test.want {
			t.Errorf("%s: %s, %v; want %s", test.target, got, err, test.want)
		}
	}
}

func TestKeepSourceSaysWhatItNeeds(t *testing.T) {
	err := explain(os.NewSyscallError("socket", unix.EPERM), true)
	if !strings.Contains(err.Error(), "CAP_NET_RAW") || !errors.Is(err, unix.EPERM) {
		t.Errorf("%v", err)
	}
}

func TestNoForwarder(t *testing.T) {
	var f *Forwarder
	f.Send(datagramsFrom("198.51.100.7:1", 10), time.Now())
	f.Close()
	if f.Stats() != nil {
		t.Error("stats of nothing")
	}
}

func TestSendAllocatesNothing(t *testing.T) {
	for _, keepSource := range []bool{false, true} {
		here := peer(t, "udp4", "127.0.0.1")
		f := open(t, Options{Targets: []netip.AddrPort{addressOf(here)}, KeepSource: keepSource})
		datagrams := datagramsFrom("198.51.100.7:1", 1400, 1400, 1400)
		now := time.Now()
		if n := testing.AllocsPerRun(200, func() { f.Send(datagrams, now) }); n != 0 {
			t.Errorf("keep source %t: %v allocations a call", keepSource, n)
		}
	}
}

func BenchmarkSend(b *testing.B) {
	for _, keepSource := range []bool{false, true} {
		name := map[bool]string{false: "own source", true: "exporter's source"}[keepSource]
		b.Run(name, func(b *testing.B) {
			here := peer(b, "udp4", "127.0.0.1")
			f := open(b, Options{Targets: []netip.AddrPort{addressOf(here)}, KeepSource: keepSource})
			lengths := make([]int, batchDatagrams)
			for i := range lengths {
				lengths[i] = 1400
			}
			datagrams := datagramsFrom("198.51.100.7:1", lengths...)
			now := time.Now()
			b.ReportAllocs()
			b.SetBytes(1400)
			for done := 0; done < b.N; done += batchDatagrams {
				f.Send(datagrams, now)
			}
		})
	}
}
