package routing

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich/rib"
)

var daemons = []daemon{
	{name: "bird", packet: "bird2", address: "127.0.0.10", md5: `password "PASSWORD";`,
		args:     []string{"-f", "-c", "DIR/config", "-s", "DIR/socket", "-P", "DIR/pid"},
		withdraw: [][]string{{"birdc", "-s", "DIR/socket", "disable", "less"}},
		config: `
log stderr all;
router id 127.0.0.10;
protocol device {}
protocol static { ipv4; route 10.0.0.0/8 blackhole; }
protocol static less { ipv4; route 10.1.0.0/16 blackhole; }
protocol static { ipv6; route 2001:db8::/32 blackhole; }
filter all_routes { bgp_med = 7; bgp_community.add((65010, 1)); bgp_large_community.add((65010, 1, 2));
	bgp_ext_community.add((rt, 65010, 5)); accept; }
protocol bgp collector {
	local 127.0.0.10 as 65010;
	neighbor 127.0.0.1 port PORT as 65010;
	source address 127.0.0.10;
	KEY
	connect delay time 1; connect retry time 1; error wait time 1, 2;
	graceful restart on;
	ipv4 { import none; export filter all_routes; next hop address 192.0.2.1; add paths tx; };
	ipv6 { import none; export filter all_routes; next hop address 2001:db8::1; };
}
`},
	{name: "/usr/lib/frr/bgpd", packet: "frr", address: "127.0.0.11", md5: "neighbor 127.0.0.1 password PASSWORD",
		withdraw: [][]string{{"vtysh", "--vty_socket", "DIR", "-c", "configure terminal", "-c", "router bgp 65010",
			"-c", "address-family ipv4 unicast", "-c", "no network 10.1.0.0/16"}},
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
 KEY
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
	{name: "gobgpd", packet: "gobgpd", address: "127.0.0.13", md5: `auth-password = "PASSWORD"`,
		withdraw: [][]string{{"gobgp", "-u", "127.0.0.13", "-p", "17913", "global", "rib", "del", "10.1.0.0/16"}},
		args:     []string{"-f", "DIR/config", "--api-hosts", "127.0.0.13:17913", "--pprof-disable"},
		config: `
[global.config]
as = 65010
router-id = "127.0.0.13"
port = -1
[[neighbors]]
[neighbors.config]
neighbor-address = "127.0.0.1"
peer-as = 65010
KEY
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
	{name: "exabgp", packet: "exabgp", address: "127.0.0.14", noIPv6: true, noRefresh: true,
		args:     []string{"DIR/config"},
		md5:      "md5-password 'PASSWORD';",
		withdraw: [][]string{{"sed", "-i", "/10.1.0.0/d", "DIR/config"}, {"kill", "-USR1", "PID"}},
		environ:  []string{"exabgp.daemon.user=root", "exabgp.log.destination=stdout", "exabgp.cache.nexthops=false"},
		config: `
neighbor 127.0.0.1 {
	router-id 127.0.0.14;
	local-address 127.0.0.14;
	local-as 65010;
	peer-as 65010;
	connect PORT;
	KEY
	capability {
		route-refresh enable;
	}
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
	{name: "/usr/sbin/bgpd", packet: "openbgpd", address: "127.0.0.15", md5: "tcp md5sig password PASSWORD",
		secret: true,
		home:   "/run/openbgpd", noRefresh: true,
		args:     []string{"-d", "-v", "-f", "DIR/config"},
		withdraw: [][]string{{"bgpctl", "-s", "DIR/socket", "network", "delete", "10.1.0.0/16"}},
		config: `
AS 65010
router-id 127.0.0.15
fib-update no
socket "DIR/socket"
listen on 127.0.0.15 port 17915
nexthop qualify via default
network 10.0.0.0/8
network 10.1.0.0/16
network 2001:db8::/32
neighbor 127.0.0.1 {
	remote-as 65010
	local-address 127.0.0.15
	port PORT
	KEY
	announce IPv4 unicast
	announce IPv6 unicast
	announce add-path send all
}
allow to any
match to any set { metric 7 community 65010:1 large-community 65010:1:2 ext-community rt 65010:5 }
match to any prefix 0.0.0.0/0 prefixlen >= 0 set nexthop 192.0.2.1
match to any prefix ::/0 prefixlen >= 0 set nexthop 2001:db8::1
`},
}

// Real speakers: a session, their routes with all attributes, a withdrawal, the end of the session with stale routes,
// and the next session, after the daemon was stopped and after it was killed.
func TestSpeakers(t *testing.T) {
	for i := range daemons {
		d := &daemons[i]
		t.Run(d.packet, func(t *testing.T) {
			s := open(t, Options{})
			_, port, err := net.SplitHostPort(s.Addresses()[0])
			if err != nil {
				t.Fatal(err)
			}
			reader := s.RIB().NewReader()
			want := map[string]int{"10.0.0.1": 7, "10.1.0.1": 7, "11.0.0.1": -1, "2001:db8::1": 7}
			families := []route.Family{{}, {V6: true}}
			if d.noIPv6 {
				delete(want, "2001:db8::1")
				families = families[:1]
			}
			began := time.Now()
			x := d.start(t, port, "")
			sessionIs(t, s, func(p *Session) bool { return p.Up })
			expect(t, s, reader, d.address, want)
			t.Logf("the table was there %s after the start", time.Since(began).Round(time.Millisecond))
			if got, want := attributesOf(t, s, reader, d.address, "10.0.0.1"),
				"10.0.0.0/8 via 192.0.2.1 communities [65010:1 RT:65010:5 65010:1:2]"; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			prefix := func(to string) string {
				return strings.Fields(attributesOf(t, s, reader, d.address, to))[0]
			}
			for _, family := range families { // all of them send End-of-RIB
				sessionIs(t, s, func(p *Session) bool { return p.Complete[family.Index()] })
			}
			began = time.Now()
			x.run(t, d.withdraw)
			eventually(t, func() string { return differs(prefix("10.1.0.1"), "10.0.0.0/8") })
			t.Logf("a withdrawal was there after %s", time.Since(began).Round(time.Millisecond))
			for n, end := range []func(*running){(*running).stop, (*running).kill} {
				end(x)
				down := sessionIs(t, s, func(p *Session) bool { return !p.Up })
				if !strings.Contains(down.Why, "the neighbour") {
					t.Errorf("the session ended because %q", down.Why)
				}
				if got := prefix("10.0.0.1"); got != "10.0.0.0/8" {
					t.Errorf("without a session there is %s", got)
				}
				began = time.Now()
				x = d.start(t, port, "")
				sessionIs(t, s, func(p *Session) bool { return p.Up && p.Sessions >= uint64(n+2) })
				t.Logf("a session again %s after the start", time.Since(began).Round(time.Millisecond))
				expect(t, s, reader, d.address, want)
				eventually(t, func() string { return differs(prefix("10.1.0.1"), "10.1.0.0/16") })
				x.run(t, d.withdraw)
				eventually(t, func() string { return differs(prefix("10.1.0.1"), "10.0.0.0/8") })
			}
			for r, n := range s.Stats().Sessions[0].Reasons {
				if n > 0 {
					t.Errorf("%d UPDATEs with reason %d", n, r)
				}
			}
		})
	}
}

// Real speakers with TCP-MD5: with the key there is a session, and with another key or none there is none.
func TestSpeakersMD5(t *testing.T) {
	if !kernelHasMD5(t) {
		t.Skip("the kernel has no TCP-MD5 (CONFIG_TCP_MD5SIG)")
	}
	for i := range daemons {
		d := &daemons[i]
		t.Run(d.packet, func(t *testing.T) {
			s := open(t, Options{Passwords: map[netip.Prefix]string{netip.MustParsePrefix("127.0.0.8/29"): "secret"}})
			_, port, err := net.SplitHostPort(s.Addresses()[0])
			if err != nil {
				t.Fatal(err)
			}
			for _, key := range []string{"wrong", ""} {
				before := s.Stats().WrongKeys
				x := d.start(t, port, key)
				eventually(t, func() string {
					if n := s.Stats().WrongKeys; n < before+2 {
						return fmt.Sprintf("%d segments with a wrong key, before %d", n, before)
					}
					return ""
				})
				x.stop()
				if all := s.Stats().Sessions; len(all) > 0 {
					t.Errorf("with the key %q: %+v", key, all)
				}
			}
			d.start(t, port, "secret")
			sessionIs(t, s, func(p *Session) bool { return p.Up })
			expect(t, s, s.RIB().NewReader(), d.address, map[string]int{"10.0.0.1": 7})
		})
	}
}

// sessionIs waits until the only session is as wanted, and returns it.
func sessionIs(t *testing.T, s *Station, is func(*Session) bool) (x Session) {
	t.Helper()
	eventually(t, func() string {
		all := s.Stats().Sessions
		if len(all) != 1 || !is(&all[0]) {
			return fmt.Sprintf("sessions %+v", all)
		}
		x = all[0]
		return ""
	})
	return x
}

func differs(got, want string) string {
	if got != want {
		return fmt.Sprintf("%s, want %s", got, want)
	}
	return ""
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
	d := &daemons[slices.IndexFunc(daemons, func(d daemon) bool { return d.name == "exabgp" })]
	s := open(t, Options{})
	_, port, _ := net.SplitHostPort(s.Addresses()[0])
	d.start(t, port, "")
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
