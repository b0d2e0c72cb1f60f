package routing

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/decoder/bmp"
)

// bmpDaemons are real routers with BMP; PORT is the station's for it.
var bmpDaemons = []daemon{
	{name: "gobgpd", packet: "gobgpd", address: "127.0.0.13", views: []bmp.View{bmp.LocRIB},
		args: []string{"-f", "DIR/config", "--api-hosts", "127.0.0.13:17923", "--pprof-disable"},
		config: `
[global.config]
as = 65010
router-id = "127.0.0.13"
port = -1
[[bmp-servers]]
[bmp-servers.config]
address = "127.0.0.1"
port = PORT
route-monitoring-policy = "local-rib"
statistics-timeout = 15
`,
		commands: [][]string{
			{"gobgp", "-u", "127.0.0.13", "-p", "17923", "global", "rib", "add", "10.0.0.0/8", "nexthop", "192.0.2.1",
				"med",
				"7", "community", "65010:1", "large-community", "65010:1:2", "rt", "65010:5"},
			{"gobgp", "-u", "127.0.0.13", "-p", "17923", "global", "rib", "add", "10.1.0.0/16", "nexthop", "192.0.2.1",
				"med",
				"7"},
			{"gobgp", "-u", "127.0.0.13", "-p", "17923", "global", "rib", "add", "-a", "ipv6", "2001:db8::/32",
				"nexthop",
				"2001:db8::1", "med", "7"},
		}},
	{name: "gobgpd", packet: "gobgpd", address: "127.0.0.13", noIPv6: true,
		views: []bmp.View{bmp.LocRIB, bmp.InPre, bmp.InPost},
		args:  []string{"-f", "DIR/config", "--api-hosts", "127.0.0.13:17923", "--pprof-disable"},
		config: `
[global.config]
as = 65010
router-id = "127.0.0.13"
port = 17925
local-address-list = ["127.0.0.13"]
[[neighbors]]
[neighbors.config]
neighbor-address = "127.0.0.14"
peer-as = 65010
[neighbors.transport.config]
passive-mode = true
local-address = "127.0.0.13"
[[bmp-servers]]
[bmp-servers.config]
address = "127.0.0.1"
port = PORT
route-monitoring-policy = "all"
statistics-timeout = 15
`, feeder: feeder("127.0.0.13", "17925")},
	{name: "/usr/lib/frr/bgpd", packet: "frr", address: "127.0.0.11", views: []bmp.View{bmp.InPre, bmp.InPost},
		args: []string{"-Z", "-S", "-l", "127.0.0.11", "-p", "17921", "-f", "DIR/config", "-i", "DIR/pid",
			"--vty_socket", "DIR", "-P", "0", "--log", "stdout", "-M", "bmp"},
		config: `
router bgp 65010
 bgp router-id 127.0.0.11
 no bgp ebgp-requires-policy
 neighbor 127.0.0.14 remote-as 65010
 neighbor 127.0.0.14 passive
 neighbor 127.0.0.14 timers 1 3
 address-family ipv4 unicast
  neighbor 127.0.0.14 soft-reconfiguration inbound
 exit-address-family
 bmp targets collector
  bmp connect 127.0.0.1 port PORT min-retry 100 max-retry 200
  bmp monitor ipv4 unicast pre-policy
  bmp monitor ipv4 unicast post-policy
  bmp stats interval 1000
 exit
!
`, noIPv6: true, feeder: feeder("127.0.0.11", "17921")},
}

// feeder is an exabgp that announces routes to a router, so that it has some of a peer.
func feeder(router, port string) *daemon {
	return &daemon{name: "exabgp", packet: "exabgp", args: []string{"DIR/config"},
		withdraw: [][]string{{"sed", "-i", "/10.1.0.0/d", "DIR/config"}, {"kill", "-USR1", "PID"}},
		environ:  []string{"exabgp.daemon.user=root", "exabgp.log.destination=stdout", "exabgp.cache.nexthops=false"},
		config: strings.NewReplacer("ROUTER", router, "LISTENS", port).Replace(`
neighbor ROUTER {
	router-id 127.0.0.14;
	local-address 127.0.0.14;
	local-as 65010;
	peer-as 65010;
	connect LISTENS;
	family { ipv4 unicast; }
	static {
		route 10.0.0.0/8 next-hop 192.0.2.1 med 7 community [ 65010:1 ] large-community [ 65010:1:2 ] ` +
			`extended-community [ target:65010:5 ];
		route 10.1.0.0/16 next-hop 192.0.2.1 med 7;
	}
}
`)}
}

// Real routers with BMP: their routes with all attributes, stale ones after the end, and the next session. Both connect
// from another address than their own, so that they are found by their identifiers.
func TestSpeakersBMP(t *testing.T) {
	for i := range bmpDaemons {
		d := &bmpDaemons[i]
		t.Run(fmt.Sprint(d.packet, d.views), func(t *testing.T) {
			s := monitoring(t, BMPOptions{})
			_, port, err := net.SplitHostPort(s.BMPAddresses()[0])
			if err != nil {
				t.Fatal(err)
			}
			reader := s.RIB().NewReader()
			want := map[string]int{"10.0.0.1": 7, "10.1.0.1": 7, "11.0.0.1": -1, "2001:db8::1": 7}
			if d.noIPv6 {
				delete(want, "2001:db8::1")
			}
			var peer *running
			if d.feeder != nil {
				peer = d.feeder.start(t, "", "")
			}
			x := d.start(t, port, "")
			monitorIs(t, s, func(b *BMPSession) bool { return b.Up && b.Peers > 0 })
			expect(t, s, reader, d.address, want)
			if got, want := attributesOf(t, s, reader, d.address, "10.0.0.1"),
				"10.0.0.0/8 via 192.0.2.1 communities [65010:1 RT:65010:5 65010:1:2]"; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			up := monitorIs(t, s, func(b *BMPSession) bool {
				for _, v := range d.views {
					if b.Routes[v] == 0 {
						return false
					}
				}
				return b.Up && b.Router == d.address && b.Messages[bmp.Initiation] > 0
			})
			if up.Unreadable+up.BadOpens+up.Beyond > 0 || up.Name == "" {
				t.Errorf("session %+v", up)
			}
			if peer != nil { // what its peer withdraws goes, and the peer's end takes the rest
				peer.run(t, d.feeder.withdraw)
				eventually(t, func() string {
					return differs(strings.Fields(attributesOf(t, s, reader, d.address, "10.1.0.1"))[0], "10.0.0.0/8")
				})
				peer.kill()
				expect(t, s, reader, d.address, map[string]int{"10.0.0.1": -1, "10.1.0.1": -1})
				d.feeder.start(t, "", "")
				expect(t, s, reader, d.address, want)
			}
			x.stop()
			monitorIs(t, s, func(b *BMPSession) bool { return !b.Up })
			d.start(t, port, "")
			monitorIs(t, s, func(b *BMPSession) bool { return b.Up && b.Sessions == 2 })
			expect(t, s, reader, d.address, want)
			for r, n := range s.Stats().BMP.Sessions[0].Reasons {
				if n > 0 {
					t.Errorf("%d UPDATEs with reason %d", n, r)
				}
			}
		})
	}
}
