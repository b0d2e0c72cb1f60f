package service

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/metranova/flow-collector/bench/routers"
	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/collector/web"
	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
)

// nfacctdKeys are the keys of pmacct's JSON that come from routes, and those that tell flows apart.
var nfacctdKeys = []string{"as_src", "as_dst", "comms", "ecomms", "lcomms", "as_path", "local_pref", "med", "roa_dst",
	"peer_as_src", "peer_as_dst", "peer_ip_src", "peer_ip_dst", "comms_src", "ecomms_src", "lcomms_src", "as_path_src",
	"local_pref_src", "med_src", "roa_src", "iface_in", "iface_out", "mpls_vpn_rd", "ip_src", "net_src", "ip_dst",
	"net_dst", "mask_src", "mask_dst", "port_src", "port_dst", "ip_proto", "tos"}

const nfacctdConfig = `daemonize: false
nfacctd_ip: 127.0.0.1
nfacctd_port: FLOWS
nfacctd_pipe_size: 67108864
nfacctd_as: METHOD
nfacctd_net: METHOD
bgp_daemon: true
bgp_daemon_ip: 127.0.0.1
bgp_daemon_port: BGP
bgp_daemon_max_peers: 4
bgp_src_as_path_type: bgp
bgp_src_std_comm_type: bgp
bgp_src_ext_comm_type: bgp
bgp_src_lrg_comm_type: bgp
bgp_src_local_pref_type: bgp
bgp_src_med_type: bgp
bgp_src_roa_type: bgp
bgp_peer_src_as_type: bgp
rpki_roas_file: DIR/roas.json
plugins: print[json]
aggregate[json]: src_host, dst_host, src_port, dst_port, proto, tos, src_as, dst_as, src_net, dst_net, src_mask, ` +
	`dst_mask, as_path, std_comm, ext_comm, lrg_comm, local_pref, med, peer_src_as, peer_dst_as, peer_src_ip, ` +
	`peer_dst_ip, src_as_path, src_std_comm, src_ext_comm, src_lrg_comm, src_local_pref, src_med, src_roa, dst_roa, ` +
	`mpls_vpn_rd, in_iface, out_iface
plugin_pipe_size: 67108864
plugin_buffer_size: 2048
print_output[json]: json
print_output_file[json]: DIR/flows.json
print_output_file_append[json]: true
print_refresh_time[json]: 2
print_cache_entries[json]: 131071
`

// Beside nfacctd, under the same speaker and the same flows: what routes say is the same, byte for byte.
func TestSpeakersNfacctd(t *testing.T) {
	if os.Getenv("ROUTING_TEST") == "" {
		t.Skip("nfacctd is started by make test-routing only")
	}
	if _, err := exec.LookPath("nfacctd"); err != nil {
		t.Skip("nfacctd is not installed: apt-get install pmacct")
	}
	full, err := routers.Table("")
	if err != nil {
		t.Skipf("there is no full table: %v", err)
	}
	for _, test := range []struct {
		method, as string
		prefixes   int
		flows      int
	}{{"bgp", "bgp", len(full), 100_000}, {"longest", "auto", 50_000, 20_000}} {
		t.Run(test.method, func(t *testing.T) {
			table := full
			if test.prefixes < len(full) { // some of all lengths, of both families
				table = nil
				for i := 0; i < len(full); i += len(full) / test.prefixes {
					table = append(table, full[i])
				}
			}
			compareNfacctd(t, test.method, test.as, table, test.flows)
		})
	}
}

func compareNfacctd(t *testing.T, method, as string, table []route.Prefix, flows int) {
	dir := t.TempDir()
	stream, origins := announcements(table)
	check := originCheck{origins: origins, payloads: map[netip.Prefix]uint32{}}
	var roas []string // half of them for one origin AS, half for another
	for i := 0; i < len(table); i += 10 {
		p, as := table[i].Netip(), uint32(64500+i/10%2)
		roas = append(roas, fmt.Sprintf(`{"prefix":%q,"maxLength":%d,"asn":"AS%d"}`, p, p.Bits(), as))
		check.payloads[p] = as
	}
	writeFile(t, dir+"/roas.json", `{"roas":[`+strings.Join(roas, ",\n")+`]}`)
	theirFlows, theirBGP := testkit.FreePort(t), testkit.FreePort(t)
	port := func(address string) string { return address[strings.LastIndex(address, ":")+1:] }
	startNfacctd(t, dir, strings.NewReplacer("METHOD", method, "DIR", dir, "FLOWS", port(theirFlows), "BGP",
		port(theirBGP)).Replace(nfacctdConfig))

	c := testkit.KafkaCluster(t)
	page, ourBGP := testkit.FreePort(t), testkit.FreePort(t)
	cfg := testkit.Config(t, append(kafkaEnv(t, c), "KAFKA_OUTPUT_FORMAT=pmacct-json", "CLICKHOUSE_FLOWS=false",
		"LISTEN="+testkit.FreePort(t), "HTTP_LISTEN="+page, "BGP_LISTEN="+ourBGP, "BGP_NEIGHBORS=127.0.0.0/8",
		"ROUTING_AS="+as, "RPKI_FILE="+dir+"/roas.json",
		"CLICKHOUSE_FLOW_EXTENSIONS=bgp,ipv4,ipv6,mpls,vlan,bgp_src,bgp_meta,rpki")...)
	cfg.Routing.Rules.Confederation = "keep" // as pmacct has it
	r := startConfigured(t, cfg, testkit.Patience)
	for _, to := range []string{ourBGP, theirBGP} {
		var x *routers.Speaker
		testkit.WaitFor(t, "a session with "+to, func() (done bool) {
			var err error
			x, err = routers.Connect(to, 0, false)
			return err == nil
		})
		t.Cleanup(x.Close)
		if err := x.Send(stream); err != nil {
			t.Fatal(err)
		}
	}
	testkit.WaitFor(t, "our routes", func() bool { return routesOf(t, page) == len(table) })

	datagrams := flowsTo(table, flows)
	theirs := map[string][]byte{}
	read := 0
	for deadline := time.Now().Add(30 * time.Minute); len(theirs) < flows; {
		if time.Now().After(deadline) {
			t.Fatalf("nfacctd wrote %d of %d flows", len(theirs), flows)
		}
		for i, d := range datagrams {
			if len(theirs) == 0 && i > 0 {
				break // the first one says whether nfacctd has the table
			}
			if slices.ContainsFunc(d.keys, func(key string) bool { return theirs[key] == nil }) {
				sendFrom(t, theirFlows, d.payload)
				if i%20 == 0 {
					time.Sleep(10 * time.Millisecond)
				}
			}
		}
		time.Sleep(3 * time.Second)
		read = readNfacctd(t, dir+"/flows.json", read, theirs)
		if len(theirs) < 100 && !bytes.Contains(theirs[datagrams[0].keys[0]], []byte(`"peer_ip_dst": "192.0.2.`)) {
			clear(theirs) // its table is not there yet
		}
	}
	for i, d := range datagrams {
		sendFrom(t, r.address, d.payload)
		if i%20 == 0 {
			time.Sleep(5 * time.Millisecond)
		}
	}
	testkit.WaitFor(t, "our messages", func() bool { return consumedSoFar(c) >= int64(flows) })
	r.stop(t)
	differ, withRoute, states, otherOrigin := map[string]int{}, 0, map[string]int{}, 0
	for _, m := range consumed(t, c, flows) {
		ours := rawKeys(t, m.Value)
		their := rawKeys(t, theirs[flowKey(ours)])
		if their["as_path"] != `""` || their["as_path_src"] != `""` {
			withRoute++
		}
		for _, end := range []string{"src", "dst"} {
			want := check.state(t, ours["ip_"+end], false)
			if want != "" && ours["roa_"+end] != want {
				t.Fatalf("roa_%s: ours %s, want %s by hand\nours: %s", end, ours["roa_"+end], want, m.Value)
			}
			if theirs := check.state(t, ours["ip_"+end], true); want != "" && their["roa_"+end] != theirs {
				states[fmt.Sprintf("by hand %s, with pmacct's origin %s, nfacctd's %s", want, theirs,
					their["roa_"+end])]++
			} else if want != theirs {
				otherOrigin++
			}
		}
		for _, key := range nfacctdKeys {
			if ours[key] != their[key] && !listed(key, ours, their) {
				if differ[key]++; differ[key] <= 5 {
					t.Errorf("%s: ours %s, nfacctd's %s\nours: %s\nnfacctd's: %s", key, ours[key], their[key], m.Value,
						theirs[flowKey(ours)])
				}
			}
		}
		if a, b := order(m.Value), order(theirs[flowKey(ours)]); !slices.Equal(a, b) {
			t.Fatalf("the keys have another order: ours %v, nfacctd's %v", a, b)
		}
	}
	if len(states) > 0 {
		t.Errorf("RPKI states of nfacctd that the confederations do not explain: %v", states)
	}
	t.Logf("%d ends have another RPKI state with pmacct's origin", otherOrigin)
	t.Logf("%d flows, %d with a route; keys that differ: %v", flows, withRoute, differ)
	if withRoute < flows*9/10 {
		t.Errorf("only %d of %d flows have a route", withRoute, flows)
	}
}

// listed reports whether a key differs on purpose:
//   - Without a route, nfacctd_as: bgp has no AS, where rows keep that of the record.
//   - pmacct has no peer AS where the path begins with a set.
//   - pmacct validates the last member of a confederation where that is the whole path. RFC 6811 section 2 has the
//     router's own AS there. With a VRP 185.198.155.0/24 (maximum length 24) of AS 64500 and a route of router AS
//     64500 to 185.198.155.0/24 with path (65001), the route is valid, and pmacct has it as invalid.
//   - The same with the shorter route of an invalid one: 177.107.106.0/23 is invalid by the VRP 177.107.96.0/20 (20)
//     of AS 64500, and the route to 177.107.96.0/20 with path (65001) is valid, which makes it "V". pmacct has "i".
//     originCheck computes both.
func listed(key string, ours, their map[string]string) bool {
	end := "_dst"
	path := their["as_path"]
	if strings.HasSuffix(key, "_src") {
		end, path = "_src", their["as_path_src"]
	}
	switch key {
	case "as_src", "as_dst":
		return their["mask"+end] == "0"
	case "peer_as_src", "peer_as_dst":
		return strings.HasPrefix(path, `"[`) || strings.HasPrefix(path, `"{`)
	case "roa_src", "roa_dst":
		return true // compareNfacctd compares both with originCheck
	}
	return false
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func startNfacctd(t *testing.T, dir, config string) {
	t.Helper()
	writeFile(t, dir+"/nfacctd.conf", config)
	command := exec.Command("nfacctd", "-f", dir+"/nfacctd.conf")
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout, command.Stderr = out, out
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL) // with its plugin
		_ = command.Wait()
		_ = out.Close()
		if t.Failed() {
			text, _ := os.ReadFile(out.Name())
			t.Logf("nfacctd says:\n%s", text[:min(len(text), 4000)])
		}
	})
}

// routesOf is how many routes the collector has.
func routesOf(t *testing.T, page string) (n int) {
	text, _ := web.Get(t.Context(), "http://"+page, "/metrics")
	for _, m := range regexp.MustCompile(`(?m)^flow_collector_routing_routes\{[^}]*\} (\S+)$`).
		FindAllSubmatch(text, -1) {
		v, _ := strconv.ParseFloat(string(m[1]), 64)
		n += int(v)
	}
	return n
}

// variants are attributes of all kinds: each prefix has one of them.
func variants() (all []route.Attributes) {
	sequence := func(as ...uint32) route.Segment { return route.Segment{Kind: route.Sequence, AS: as} }
	paths := [][]route.Segment{
		{sequence(64501, 64500)}, {sequence(64502, 64502, 64502, 400_000, 64501)}, {sequence(4_200_000_000, 64500)},
		{sequence(64501, 64502), {Kind: route.Set, AS: []uint32{64510, 64511}}},
		{{Kind: route.ConfedSequence, AS: []uint32{65001, 65002}}, sequence(64501, 64500)},
		{{Kind: route.ConfedSet, AS: []uint32{65001, 65003}}, sequence(64501)},
		{{Kind: route.ConfedSequence, AS: []uint32{65001}}},
		{sequence(64501, 64502, 64503, 64504, 64505, 64506, 64507, 64508)},
		nil,
	}
	standard := [][]uint32{nil, {64501<<16 | 1}, {0xffffff01, 64501<<16 | 65535, 0xffffff02, 0xffffff03, 0xffff029a},
		{0, 1, 65535<<16 | 1}, {1<<16 | 1, 2<<16 | 2, 3<<16 | 3, 4<<16 | 4, 5<<16 | 5, 6<<16 | 6, 7<<16 | 7, 8<<16 | 8}}
	extended := [][]uint64{nil, {0x0002_fbf4_0000_0007},
		{0x0102_c000_0201_0009, 0x0203_0006_1a80_0008, 0x0003_fbf5_0000_0001},
		{0x0202_0001_0000_0001, 0x4004_fbf4_0000_0000, 0x8006_0000_0000_0000, 0x4300_0000_0000_0001}}
	large := [][]route.Large{nil, {{Global: 64501, Data1: 1, Data2: 2}},
		{{Global: 4_200_000_000, Data1: 4_294_967_295, Data2: 0}, {Global: 1, Data1: 2, Data2: 3}}}
	for i := range 360 {
		a := route.Attributes{Path: paths[i%len(paths)], Communities: standard[i%len(standard)],
			Extended: extended[i/2%len(extended)], Large: large[i/4%len(large)]}
		a.NextHop = flow.AddrFrom4([4]byte{192, 0, 2, byte(1 + i%5)})
		if i%3 != 0 {
			a.HasLocalPref, a.LocalPref = true, uint32(100+i)
		}
		if i%4 != 0 {
			a.HasMED, a.MED = true, uint32(i)
		}
		all = append(all, a)
	}
	return all
}

// announcements are UPDATEs with all prefixes, and the origin AS of each.
func announcements(table []route.Prefix) (out []byte, origins map[netip.Prefix][2]uint32) {
	kinds := variants()
	origins = make(map[netip.Prefix][2]uint32, len(table))
	for i := 0; i < len(table); {
		end := i + 1
		for end < len(table) && end < i+6 && table[end].V6 == table[i].V6 {
			end++
		}
		a := kinds[i/6%len(kinds)]
		var prefixes []byte
		for _, p := range table[i:end] {
			prefixes = bgp.AppendPrefix(prefixes, route.Unicast, 0, p)
			origins[p.Netip()] = originOf(a.Path)
		}
		var attributes, announced []byte
		if table[i].V6 {
			a.NextHop = flow.Addr{}
			attributes = bgp.AppendAttributes(nil, &a, route.Unicast, true)
			reach := append([]byte{0, 2, 1, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, byte(1 + i%5), 0},
				prefixes...)
			attributes = append(attributes, 0x90, 14, byte(len(reach)>>8), byte(len(reach)))
			attributes = append(attributes, reach...)
		} else {
			attributes, announced = bgp.AppendAttributes(nil, &a, route.Unicast, false), prefixes
		}
		out = bgp.AppendHeader(out, bgp.UpdateType, 4+len(attributes)+len(announced))
		out = binary.BigEndian.AppendUint16(append(out, 0, 0), uint16(len(attributes)))
		out = append(append(out, attributes...), announced...)
		i = end
	}
	return out, origins
}
