package routing

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/bmp"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich/rib"
)

// A daemon is a BGP speaker that is installed, or not.
type daemon struct {
	name, packet string // the program, and Debian's package
	address      string // where it connects from
	config       string // PORT is the station's, DIR a directory
	args         []string
	environ      []string
	// commands make routes when it runs. Each is tried until it succeeds.
	commands [][]string
	md5      bool // the connection has the key "secret"
	noIPv6   bool // its configuration has none: exabgp 4.2 refuses such routes of a neighbour of IPv4
	views    []bmp.View
	feeder   *daemon // announces routes to it
}

var daemons = []daemon{
	{name: "bird", packet: "bird2", address: "127.0.0.10", md5: true,
		args: []string{"-f", "-c", "DIR/config", "-s", "DIR/socket", "-P", "DIR/pid"},
		config: `
log stderr all;
router id 127.0.0.10;
protocol device {}
protocol static { ipv4; route 10.0.0.0/8 blackhole; route 10.1.0.0/16 blackhole; }
protocol static { ipv6; route 2001:db8::/32 blackhole; }
filter all_routes { bgp_med = 7; bgp_community.add((65010, 1)); bgp_large_community.add((65010, 1, 2));
	bgp_ext_community.add((rt, 65010, 5)); accept; }
protocol bgp collector {
	local 127.0.0.10 as 65010;
	neighbor 127.0.0.1 port PORT as 65010;
	source address 127.0.0.10;
	password "secret";
	connect delay time 1; connect retry time 1; error wait time 1, 2;
	graceful restart on;
	ipv4 { import none; export filter all_routes; next hop address 192.0.2.1; add paths tx; };
	ipv6 { import none; export filter all_routes; next hop address 2001:db8::1; };
}
`},
	{name: "/usr/lib/frr/bgpd", packet: "frr", address: "127.0.0.11",
		args: []string{"-Z", "-S", "-l", "127.0.0.11", "-p", "17911", "-f", "DIR/config", "-i", "DIR/pid",
			"--vty_socket", "DIR", "-P", "0", "--log", "stdout"},
		config: `
route-map OUT permit 10
 set metric 7
 set community 65010:1
 set large-community 65010:1:2
 set extcommunity rt 65010:5
 set ip next-hop 192.0.2.1
 set ipv6 next-hop global 2001:db8::1
!
router bgp 65010
 bgp router-id 127.0.0.11
 no bgp network import-check
 no bgp ebgp-requires-policy
 neighbor 127.0.0.1 remote-as 65010
 neighbor 127.0.0.1 port PORT
 neighbor 127.0.0.1 update-source 127.0.0.11
 neighbor 127.0.0.1 timers connect 1
 address-family ipv4 unicast
  network 10.0.0.0/8
  network 10.1.0.0/16
  neighbor 127.0.0.1 route-map OUT out
 exit-address-family
 address-family ipv6 unicast
  network 2001:db8::/32
  neighbor 127.0.0.1 activate
  neighbor 127.0.0.1 route-map OUT out
 exit-address-family
!
`},
	{name: "gobgpd", packet: "gobgpd", address: "127.0.0.13",
		args: []string{"-f", "DIR/config", "--api-hosts", "127.0.0.13:17913", "--pprof-disable"},
		config: `
[global.config]
as = 65010
router-id = "127.0.0.13"
port = -1
[[neighbors]]
[neighbors.config]
neighbor-address = "127.0.0.1"
peer-as = 65010
[neighbors.transport.config]
local-address = "127.0.0.13"
remote-port = PORT
[neighbors.timers.config]
connect-retry = 1
idle-hold-time-after-reset = 1
[neighbors.graceful-restart.config]
enabled = true
restart-time = 120
[[neighbors.afi-safis]]
[neighbors.afi-safis.config]
afi-safi-name = "ipv4-unicast"
[neighbors.afi-safis.add-paths.config]
send-max = 2
[[neighbors.afi-safis]]
[neighbors.afi-safis.config]
afi-safi-name = "ipv6-unicast"
`,
		commands: [][]string{
			{"gobgp", "-u", "127.0.0.13", "-p", "17913", "global", "rib", "add", "10.0.0.0/8", "nexthop", "192.0.2.1",
				"med", "7",
				"community", "65010:1", "large-community", "65010:1:2", "rt", "65010:5"},
			{"gobgp", "-u", "127.0.0.13", "-p", "17913", "global", "rib", "add", "10.1.0.0/16", "nexthop", "192.0.2.1",
				"med", "7"},
			{"gobgp", "-u", "127.0.0.13", "-p", "17913", "global", "rib", "add", "-a", "ipv6", "2001:db8::/32",
				"nexthop",
				"2001:db8::1", "med", "7"},
		}},
	{name: "exabgp", packet: "exabgp", address: "127.0.0.14", noIPv6: true, args: []string{"DIR/config"},
		environ: []string{"exabgp.daemon.user=root", "exabgp.log.destination=stdout", "exabgp.cache.nexthops=false"},
		config: `
neighbor 127.0.0.1 {
	router-id 127.0.0.14;
	local-address 127.0.0.14;
	local-as 65010;
	peer-as 65010;
	connect PORT;
	family {
		ipv4 unicast;
		ipv4 mpls-vpn;
		ipv4 nlri-mpls;
	}
	static {
		route 10.0.0.0/8 next-hop 192.0.2.1 med 7 community [ 65010:1 ] large-community [ 65010:1:2 ] ` +
			`extended-community [ target:65010:5 ];
		route 10.1.0.0/16 next-hop 192.0.2.1 med 7;
		route 10.2.0.0/16 rd 65010:9 label 100 next-hop 192.0.2.2 med 8;
	}
}
`},
}

// start runs the daemon until the test ends or stop is called.
func (d *daemon) start(t *testing.T, port string) (stop func()) {
	t.Helper()
	if os.Getenv("ROUTING_TEST") == "" {
		t.Skip("real BGP speakers are started by make test-routing only")
	}
	program, err := exec.LookPath(d.name)
	if err != nil {
		t.Skipf("%s is not installed: apt-get install %s", d.name, d.packet)
	}
	if os.Geteuid() != 0 {
		t.Skipf("%s is started by root only", d.name)
	}
	dir, err := os.MkdirTemp("", "speaker")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil { // some change their user
		t.Fatal(err)
	}
	fill := strings.NewReplacer("PORT", port, "DIR", dir)
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte(fill.Replace(d.config)), 0o644); err != nil {
		t.Fatal(err)
	}
	var args []string
	for _, a := range d.args {
		args = append(args, fill.Replace(a))
	}
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, args...)
	command.Env = append(os.Environ(), d.environ...)
	command.Stdout, command.Stderr = out, out
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = command.Wait()
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		<-ended
		if t.Failed() {
			text, _ := os.ReadFile(out.Name())
			t.Logf("%s says:\n%s", d.name, text[:min(len(text), 4000)])
		}
		_ = out.Close()
	})
	for _, c := range d.commands {
		eventually(t, func() string {
			if text, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
				return fmt.Sprintf("%s: %v: %s", strings.Join(c, " "), err, text)
			}
			return ""
		})
	}
	return func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(patience):
			_ = command.Process.Kill()
			<-ended
		}
	}
}

// Real speakers: a session, their routes with all attributes, the end of the session with stale routes, and the next
// session.
func TestSpeakers(t *testing.T) {
	for i := range daemons {
		d := &daemons[i]
		t.Run(filepath.Base(d.name), func(t *testing.T) {
			o := Options{}
			if d.md5 {
				o.Passwords = map[netip.Prefix]string{netip.MustParsePrefix("127.0.0.8/29"): "secret"}
			}
			s := open(t, o)
			_, port, err := net.SplitHostPort(s.Addresses()[0])
			if err != nil {
				t.Fatal(err)
			}
			reader := s.RIB().NewReader()
			want := map[string]int{"10.0.0.1": 7, "10.1.0.1": 7, "11.0.0.1": -1, "2001:db8::1": 7}
			if d.noIPv6 {
				delete(want, "2001:db8::1")
			}
			stop := d.start(t, port)
			expect(t, s, reader, d.address, want)
			if got, want := attributesOf(t, s, reader, d.address, "10.0.0.1"),
				"10.0.0.0/8 via 192.0.2.1 communities [65010:1 RT:65010:5 65010:1:2]"; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			stop()
			eventually(t, func() string {
				if all := s.Stats().Sessions; len(all) != 1 || all[0].Up {
					return fmt.Sprintf("sessions %+v", all)
				}
				return ""
			})
			if all := s.Stats().Sessions; !strings.Contains(all[0].Why, "the neighbour") {
				t.Errorf("the session ended because %q", all[0].Why)
			}
			d.start(t, port)
			eventually(t, func() string {
				if all := s.Stats().Sessions; len(all) != 1 || !all[0].Up || all[0].Sessions < 2 {
					return fmt.Sprintf("sessions %+v", all)
				}
				return ""
			})
			expect(t, s, reader, d.address, want)
			for r, n := range s.Stats().Sessions[0].Reasons {
				if n > 0 {
					t.Errorf("%d UPDATEs with reason %d", n, r)
				}
			}
		})
	}
}

func attributesOf(t *testing.T, s *Station, reader *rib.Reader, exporter, to string) string {
	t.Helper()
	reader.Enter()
	defer reader.Leave()
	router := s.RIB().RouterAt(flow.AddrFrom(netip.MustParseAddr(exporter)))
	a := flow.AddrFrom(netip.MustParseAddr(to))
	x, found := reader.Lookup(router.Table(route.Unicast, 0), &a, nil)
	if !found {
		return "none"
	}
	standard, extended, large := x.Communities()
	var texts []string
	for _, c := range standard {
		texts = append(texts, string(route.AppendCommunity(nil, c)))
	}
	for _, c := range extended {
		texts = append(texts, string(route.AppendExtended(nil, c)))
	}
	for _, c := range large {
		texts = append(texts, string(route.AppendLarge(nil, c)))
	}
	return fmt.Sprintf("%s via %s communities %v", x.Prefix(), x.NextHop(), texts)
}

// VPN routes are in a table of their route distinguisher.
func TestSpeakersVPN(t *testing.T) {
	d := &daemons[len(daemons)-1]
	s := open(t, Options{})
	_, port, _ := net.SplitHostPort(s.Addresses()[0])
	d.start(t, port)
	reader := s.RIB().NewReader()
	a := flow.AddrFrom(netip.MustParseAddr("10.2.0.1"))
	eventually(t, func() string {
		router := s.RIB().RouterAt(flow.AddrFrom(netip.MustParseAddr(d.address)))
		if router == nil {
			return "no router"
		}
		table := router.Table(route.VPN, 65010<<32|9)
		if table == nil {
			return "no table"
		}
		reader.Enter()
		defer reader.Leave()
		x, found := reader.Lookup(table, &a, nil)
		if med, _ := x.MED(); !found || med != 8 || x.NextHop() != flow.AddrFrom(netip.MustParseAddr("192.0.2.2")) {
			return "no route"
		}
		return ""
	})
}
