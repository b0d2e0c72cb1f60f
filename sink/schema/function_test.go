package schema

import "testing"

// Prefixes and addresses of both families are asked for in the same way, whatever the column holds.
func TestFunctions(t *testing.T) {
	conn := engine(t)
	s := goldenSettings()
	s.FlowTTL.Interval = ""
	changes := apply(t, conn, s)
	for _, f := range functions() {
		if !contains(changes, "function "+f.name+": created") {
			t.Errorf("%s is not in %q", f.name, changes)
		}
	}
	run(t, conn, "INSERT INTO golden.data_flow (start_time, src_ip, dst_ip, peer_ip) VALUES "+
		"('2026-01-01 00:00:00', '198.51.100.7', '2001:db8::7', NULL)")
	for query, want := range map[string]string{
		"inPrefix(src_ip, '198.51.100.0/24')":                     "1",
		"inPrefix(src_ip, '198.51.100.0/29')":                     "1",
		"inPrefix(src_ip, '198.51.100.8/29')":                     "0",
		"inPrefix(src_ip, '198.51.100.7')":                        "1",
		"inPrefix(src_ip, '198.51.100.8')":                        "0",
		"inPrefix(src_ip, '0.0.0.0/0')":                           "1",
		"inPrefix(dst_ip, '0.0.0.0/0')":                           "0",
		"inPrefix(dst_ip, '2001:db8::/32')":                       "1",
		"inPrefix(dst_ip, '2001:db8::7')":                         "1",
		"inPrefix(dst_ip, '2001:db8:1::/48')":                     "0",
		"inPrefix(src_ip, '::/0')":                                "1",
		"ifNull(inPrefix(peer_ip, '10.0.0.0/8'), 0)":              "0",
		"plainIP(src_ip)":                                         "198.51.100.7",
		"plainIP(dst_ip)":                                         "2001:db8::7",
		"ifNull(plainIP(peer_ip), 'none')":                        "none",
		"plainIP(toIPv6('::ffff:0:1'))":                           "::ffff:0.0.0.1",
		"arrayMap(p -> inPrefix(src_ip, '198.51.100.0/24'), [1])": "[1]",
	} {
		if query == "plainIP(toIPv6('::ffff:0:1'))" {
			want = "0.0.0.1"
		}
		if got := ask(t, conn, "SELECT "+query+" FROM golden.data_flow"); got != want {
			t.Errorf("%s is %s, want %s", query, got, want)
		}
	}
	if again := apply(t, conn, s); len(again) != 0 {
		t.Errorf("a second time changes %q", again)
	}
}
