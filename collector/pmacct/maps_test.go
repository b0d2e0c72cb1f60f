package pmacct

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/enrich"
)

// write makes a file with a text, and returns its path.
func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// show is a rule's condition as text.
func show(m enrich.Match) string {
	s := m.Exporter.String()
	add := func(name string, v *uint32, not bool) {
		if v != nil {
			s += fmt.Sprintf(" %s=%d not=%v", name, *v, not)
		}
	}
	add("in", m.In, m.NotIn)
	add("out", m.Out, m.NotOut)
	add("vrf", m.VRF, false)
	add("label", m.BottomLabel, false)
	if m.NextHop.IsValid() {
		s += " via " + m.NextHop.String()
	}
	if m.IPVersion != 0 {
		s += fmt.Sprintf(" IPv%d", m.IPVersion)
	}
	return s
}

// problems compares an error's lines, of which the file's directory is left out.
func problems(t *testing.T, path string, err error, want ...string) {
	t.Helper()
	got := ""
	if err != nil {
		got = strings.ReplaceAll(err.Error(), filepath.Dir(path)+"/", "")
	}
	if got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func TestReadAgents(t *testing.T) {
	path := write(t, "agents.map", "! routers of the exporters\n\n# behind a translator\n"+
		"bgp_ip=198.51.100.1 ip=192.0.2.1\n"+
		"bgp_ip=198.51.100.2\tip=192.0.2.0/24   in=10\n"+
		"bmp_ip=198.51.100.3 ip=192.0.2.0/24 out=-11 filter='ip6'\n"+
		"bgp_ip=198.51.100.4\tip=0.0.0.0/0\tfilter='ip  or (vlan and ip)'\n"+ // as in pmacct's example
		"bgp_ip=fd00::1 ip=0.0.0.0/0 filter=\"ip6 or (vlan and ip6)\" in=3\n"+
		"bgp_ip=198.51.100.5 ip=0.0.0.0/0 filter='ip or ip6'\n"+
		"bgp_ip=2001:db8::1 ip=0.0.0.0/0\n")
	rules, err := ReadAgents(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rules {
		got = append(got, fmt.Sprintf("%s: %s", show(r.Match), r.Router))
	}
	want := []string{"192.0.2.1/32: 198.51.100.1", "192.0.2.0/24 in=10 not=false: 198.51.100.2",
		"192.0.2.0/24 out=11 not=true IPv6: 198.51.100.3", "0.0.0.0/0 IPv4: 198.51.100.4",
		"0.0.0.0/0 in=3 not=false IPv6: fd00::1", "0.0.0.0/0: 198.51.100.5", "0.0.0.0/0: 2001:db8::1"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	path = write(t, "agents.map", "bgp_ip=198.51.100.1 ip=192.0.2.300\nip=192.0.2.1\nbgp_ip=198.51.100.1\n"+
		"bgp_ip=x ip=192.0.2.1\nbgp_ip=198.51.100.1 ip=192.0.2.1 in=x tag=7 in=8\nbgp_ip\n"+
		"bgp_ip=198.51.100.1 bgp_port=4000 ip=192.0.2.1\nbgp_ip=198.51.100.1 ip=192.0.2.1 filter=tcp\n"+
		"bgp_ip=198.51.100.1 ip=192.0.2.1 filter='ip or vlan\nbgp_ip=198.51.100.1 ip=192.0.2.1 filter='vlan'\n"+
		"bgp_ip=198.51.100.1 ip=192.0.2.1\n")
	rules, err = ReadAgents(path)
	problems(t, path, err,
		`agents.map:1: ip=192.0.2.300: "192.0.2.300" is neither an address nor a prefix`,
		`agents.map:2: bgp_ip or bmp_ip is missing`,
		`agents.map:3: ip is missing: 0.0.0.0/0 is all exporters with an IPv4 address, ::/0 all others`,
		`agents.map:4: bgp_ip=x: is not an address`,
		`agents.map:5: in=x: is not a number up to 4294967295`,
		`agents.map:5: tag=7: is not a key of this map: bgp_ip, bmp_ip, ip, in, out, filter`,
		`agents.map:5: in twice`,
		`agents.map:6: "bgp_ip" is not KEY=VALUE`,
		`agents.map:7: bgp_port=4000: routers behind one address are told apart by their BGP identifier: give that as `+
			`bgp_ip`,
		`agents.map:8: filter=tcp: only ip and ip6 are understood, alone or with vlan`,
		`agents.map:9: a quote is not closed`,
		`agents.map:10: filter='vlan': has neither ip nor ip6`)
	if len(rules) != 1 {
		t.Errorf("%d rules", len(rules))
	}
	_, err = ReadAgents(filepath.Join(t.TempDir(), "none"))
	if err == nil || !strings.HasSuffix(err.Error(), "none: no such file or directory") {
		t.Error(err)
	}
}

func TestReadVRFs(t *testing.T) {
	path := write(t, "rd.map", "id=0:64500:7 ip=192.0.2.1 in=100\nid=1:198.51.100.1:9 ip=192.0.2.1 out=101\n"+
		"id=2:4200000000:1 ip=192.0.2.0/24 bgp_nexthop=203.0.113.1\nid=0:0:0 ip=192.0.2.0/24 mpls_vpn_id=5\n"+
		"id=64500:8 ip=::/0 mpls_label_bottom=16000\n")
	rules, err := ReadVRFs(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rules {
		got = append(got, fmt.Sprintf("%s: %s", show(r.Match), enrich.RDText(r.RD)))
	}
	want := []string{"192.0.2.1/32 in=100 not=false: 0:64500:7", "192.0.2.1/32 out=101 not=false: 1:198.51.100.1:9",
		"192.0.2.0/24 via 203.0.113.1/32: 2:4200000000:1", "192.0.2.0/24 vrf=5 not=false: 0:0:0",
		"::/0 label=16000 not=false: 0:64500:8"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	path = write(t, "rd.map", "id=7 ip=192.0.2.1\nip=192.0.2.1 in=1\nid=0:1:1\nid=0:64500:7 ip=192.0.2.1 vlan=3\n")
	_, err = ReadVRFs(path)
	problems(t, path, err,
		`rd.map:1: id=7: "7" is not a route distinguisher such as 0:64500:7, 1:192.0.2.1:7 or 64500:7`,
		`rd.map:2: id is missing`,
		`rd.map:3: ip is missing: 0.0.0.0/0 is all exporters with an IPv4 address, ::/0 all others`,
		`rd.map:4: vlan=3: is not a key of this map: id, ip, in, out, bgp_nexthop, mpls_vpn_id, `+
			`mpls_label_bottom, filter`)
}

func TestParseRD(t *testing.T) {
	for text, want := range map[string]string{
		"0:64500:7": "0:64500:7", "64500:4294967295": "0:64500:4294967295", "70000:7": "2:70000:7",
		"192.0.2.1:7": "1:192.0.2.1:7", "1:192.0.2.1:65535": "1:192.0.2.1:65535", "2:4294967295:1": "2:4294967295:1",
		"0:0:0": "0:0:0",
		"":      "", "7": "", "3:1:1": "", "0:70000:1": "", "1:7:7": "", "2:1:65536": "", "0:1:4294967296": "",
		"a:b":     "",
		"1:2:3:4": "", "-1:1:1": "", "1:::1:1": "",
	} {
		got := ""
		if rd, err := ParseRD(text); err == nil {
			got = enrich.RDText(rd)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestReadAllowedAndKeys(t *testing.T) {
	path := write(t, "allow.lst", "\ufeff! neighbours\n192.0.2.1\r\n198.51.100.0/24\n2001:db8::1\n")
	all, err := ReadAllowed(path)
	if got := fmt.Sprint(all, err); got != "[192.0.2.1/32 198.51.100.0/24 2001:db8::1/128] <nil>" {
		t.Error(got)
	}
	path = write(t, "allow.lst", "192.0.2.1\nrouter1\n192.0.2.0/33\n")
	_, err = ReadAllowed(path)
	problems(t, path, err, `allow.lst:2: "router1" is neither an address nor a prefix`,
		`allow.lst:3: "192.0.2.0/33" is neither an address nor a prefix`)

	path = write(t, "md5.lst", "192.0.2.1, secret one\n2001:db8::/32,two\n")
	keys, err := ReadKeys(path)
	if err != nil || len(keys) != 2 || keys[netip.MustParsePrefix("192.0.2.1/32")] != "secret one" {
		t.Errorf("%v %v", keys, err)
	}
	path = write(t, "md5.lst", "192.0.2.1 secret\nx, secret\n192.0.2.1, "+strings.Repeat("s", 81)+
		"\n192.0.2.1, secret\n192.0.2.1, secret\n192.0.2.2,\n")
	_, err = ReadKeys(path)
	problems(t, path, err, `md5.lst:1: a line is ADDRESS, KEY`, `md5.lst:2: "x" is neither an address nor a prefix`,
		`md5.lst:3: the key has 81 bytes: the most is 80`, `md5.lst:5: 192.0.2.1 has a key already`,
		`md5.lst:6: a line is ADDRESS, KEY`)
	if strings.Contains(err.Error(), "secret") {
		t.Error("a key is shown")
	}
}

// A file with nothing right in it does not fill the screen.
func TestManyProblems(t *testing.T) {
	path := write(t, "agents.map", strings.Repeat("x\n", 1000))
	_, err := ReadAgents(path)
	if n := strings.Count(err.Error(), "\n"); n != maxProblems {
		t.Errorf("%d lines", n)
	}
	if !strings.HasSuffix(err.Error(), ": 900 further problems") {
		t.Error(err)
	}
}

func FuzzMaps(f *testing.F) {
	f.Add("bgp_ip=198.51.100.1 ip=192.0.2.1 in=1 out=-2 filter=ip6\n")
	f.Add("id=0:64500:7 ip=192.0.2.1 bgp_nexthop=1.2.3.4 mpls_vpn_id=5 mpls_label_bottom=6\n")
	f.Add("192.0.2.0/24, key\n! x\n")
	path := filepath.Join(f.TempDir(), "map")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		agents, _ := ReadAgents(path)
		vrfs, _ := ReadVRFs(path)
		for _, r := range agents {
			if !r.Exporter.IsValid() {
				t.Errorf("%+v", r)
			}
		}
		for _, r := range vrfs {
			if rd, err := ParseRD(enrich.RDText(r.RD)); err != nil || rd != r.RD {
				t.Errorf("%v became %v, %v", r.RD, rd, err)
			}
		}
		_, _ = ReadAllowed(path)
		_, _ = ReadKeys(path)
	})
}
