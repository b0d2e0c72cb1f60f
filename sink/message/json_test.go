package message

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/block/blocktest"
)

func parse(t testing.TB, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func TestPmacctJSON(t *testing.T) {
	const full = `{"event_type": "purge", "label": "collector-1", "vlan": 100, "as_src": 64500, "as_dst": ` +
		`4294967295, ` +
		`"comms": "65535:65281_64500:0", "ecomms": "RT:64500:7_3:12:8", "lcomms": "4226809946:0:7", "as_path": ` +
		`"64500_64501_64501", "local_pref": 200, "med": 50, ` +
		`"peer_as_dst": 64500, "peer_ip_src": "192.0.2.250", "peer_ip_dst": "::ffff:0.0.0.0", "iface_in": 11, ` +
		`"iface_out": 12, ` +
		`"mpls_vpn_rd": "0:64500:7", "mpls_pw_id": 4294967295, "ip_src": "::ffff:192.0.2.1", "ip_dst": ` +
		`"2001:db8::2", ` +
		`"port_src": 65535, "port_dst": 53, "ip_proto": "ipv6-icmp", "tos": 184, "timestamp_start": ` +
		`"1795392000.001000", ` +
		`"timestamp_end": "1795392000.999000", "timestamp_arrival": "1795392001.234567", "export_proto_seqno": 4711, ` +
		`"ipv6_flow_label": "1048575", "mpls_top_label_type": "4", "mpls_top_label_ipv4": "203.0.113.9", ` +
		`"mpls_label1": "FF-FF-FA", "mpls_label2": "00-00-00", "mpls_label3": "05-DC-1F", "mpls_label4": "00-00-00", ` +
		`"mpls_label5": "", "mpls_label6": "", "mpls_label7": "", "mpls_label8": "", "mpls_label9": "", ` +
		`"mpls_label10": "", ` +
		`"vlan_in": "101", "vlan_out": "102", "cvlan_in": "103", "cvlan_out": "104", ` +
		`"packets": 9007199254740992, "bytes": 18446744073709551615, "writer_id": "nfacctd"}`
	const empty = `{"event_type": "purge", "label": "collector-1", "vlan": 0, "as_src": 0, "as_dst": 0, ` +
		`"comms": "", "ecomms": "", "lcomms": "", "as_path": "", "local_pref": 0, "med": 0, ` +
		`"peer_as_dst": 0, "peer_ip_src": "", "peer_ip_dst": "", "iface_in": 0, "iface_out": 0, ` +
		`"mpls_vpn_rd": "0:0:0", "mpls_pw_id": 0, "ip_src": "", "ip_dst": "", ` +
		`"port_src": 0, "port_dst": 0, "ip_proto": "0", "tos": 0, "timestamp_start": "1795392000.000000", ` +
		`"timestamp_end": "0.000000", "timestamp_arrival": "0.000000", "export_proto_seqno": 0, ` +
		`"ipv6_flow_label": "0", "mpls_top_label_type": "0", "mpls_top_label_ipv4": "0.0.0.0", ` +
		`"mpls_label1": "", "mpls_label2": "", "mpls_label3": "", "mpls_label4": "", ` +
		`"mpls_label5": "", "mpls_label6": "", "mpls_label7": "", "mpls_label8": "", "mpls_label9": "", ` +
		`"mpls_label10": "", ` +
		`"vlan_in": "0", "vlan_out": "0", "cvlan_in": "0", "cvlan_out": "0", "packets": 0, "bytes": 0, "writer_id": ` +
		`"nfacctd"}`
	// Of sFlow there are no start, end, route distinguisher, labels and VLANs of each side. An output that is no
	// ifIndex has format bits.
	const sflow = `{"event_type": "purge", "label": "collector-1", "vlan": 100, "as_src": 64500, "as_dst": ` +
		`4294967295, ` +
		`"comms": "65535:65281_64500:0", "ecomms": "RT:64500:7_3:12:8", "lcomms": "4226809946:0:7", "as_path": ` +
		`"64500_64501_64501", "local_pref": 200, "med": 50, ` +
		`"peer_as_dst": 64500, "peer_ip_src": "192.0.2.250", "peer_ip_dst": "::ffff:0.0.0.0", "iface_in": ` +
		`1073741823, "iface_out": 1073742082, ` +
		`"ip_src": "::ffff:192.0.2.1", "ip_dst": "2001:db8::2", "port_src": 65535, "port_dst": 53, "ip_proto": ` +
		`"ipv6-icmp", "tos": 184, ` +
		`"timestamp_arrival": "1795392001.234567", "export_proto_seqno": 4711, ` +
		`"packets": 9007199254740992, "bytes": 18446744073709551615, "writer_id": "sfacctd"}`
	event := blocktest.EmptyRow()
	event.Flow.Has = flow.NATEvent
	counted := blocktest.EmptyRow()
	counted.Flow.Has = flow.FirewallEvent | flow.Bytes
	noRate, several := sflowRow(), sflowRow()
	noRate.Flow.SamplingRate = 0
	several.Flow.OutIf, several.Flow.OutIfKind = 3, flow.InterfaceMultiple
	for name, test := range map[string]struct {
		row  enrich.Row
		want string
	}{
		"full": {fullRow(), full}, "empty": {blocktest.EmptyRow(), empty}, "sFlow": {sflowRow(), sflow},
		"event that counts nothing": {event, strings.Replace(empty, `"packets": 0, "bytes": 0, `, "", 1)},
		"event that counts":         {counted, empty},
		"sFlow with a rate of 0": {noRate,
			strings.NewReplacer("9007199254740992", "0", "18446744073709551615", "0").Replace(sflow)},
		"sFlow with several interfaces": {several, strings.Replace(sflow, "1073742082", "2147483651", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(strings.Split(test.want, ", "),
				strings.Split(encoded(PmacctJSON, test.row), ", ")); diff != "" {
				t.Errorf("want (-), encoded (+):\n%s", diff)
			}
		})
	}
}

// FuzzTexts gives every text that can come from outside any bytes: JSON stays JSON, UTF-8 stays UTF-8, a message stays
// readable, and where the text is UTF-8 it is the same behind it.
func FuzzTexts(f *testing.F) {
	for _, s := range []string{
		"", "rtr1", `"`, `\`, `\u0000`, "a\"b\\c", "\x00\x01\x1f\x7f", "\n\r\t\b\f", "ü€😀", "\xff", "\xc3",
		"a\xf0\x9f\x98", "\xed\xa0\x80",
		"\u2028\u2029\ufffd", "</script>", "{}[],:", strings.Repeat("x", 200), strings.Repeat("é", 200),
	} {
		f.Add(s, s)
	}
	descriptor := flowDescriptor(f)
	f.Fuzz(func(t *testing.T, s, other string) {
		r := fullRow()
		r.DeviceID, r.DeviceRef, r.In.ID, r.In.Ref, r.Out.ID, r.Out.Ref = s, other, s, other, s, other
		r.SrcASRef, r.DstASRef, r.SrcIPRef, r.DstIPRef, r.PeerIPRef, r.PeerASRef = s, other, s, other, s, other
		r.SrcExtRef, r.DstExtRef = []string{s}, []string{other}
		r.PolicyScope = enrich.Scopes{Listed: []string{s, other, s}}
		l := Layout{CollectorID: s, PolicyOriginator: other, PolicyLevel: s, IPRefExtensions: []string{"scireg"}}
		for _, format := range formats() {
			var b Batch
			NewEncoder(format, NoKey, l).Append(&b, &r)
			text := string(b.Message(0))
			if format == Protobuf {
				m, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(decodedFlow(t, descriptor,
					b.Message(0)))
				if err != nil {
					t.Fatal(err)
				}
				text = string(m)
			}
			if !utf8.ValidString(text) || !json.Valid([]byte(text)) {
				t.Fatalf("%s is not JSON in UTF-8: %q", format, text)
			}
			fields := parse(t, text)
			for _, key := range []string{"label", "collector_id", "policy_level", "device_id", "in_interface_id",
				"src_as_ref"} {
				if got, found := fields[key]; found && utf8.ValidString(s) && s != "" && got != s {
					t.Errorf("%s: %s is %q, want %q", format, key, got, s)
				}
			}
			if scope, found := fields["policy_scope"].([]any); found && len(scope) != 3 {
				t.Errorf("%s: policy_scope is %v", format, scope)
			}
		}
	})
}

// Rows of sFlow have the flow label, and one VLAN.
func TestSFlowExt(t *testing.T) {
	ext := parse(t, encoded(JSON, sflowRow()))["ext"].(map[string]any)
	if ext["ipv6_flow_label"] != 1048575.0 || ext["vlan_id"] != 100.0 || ext["vlan_in_id"] != nil ||
		ext["vlan_out_inner_id"] != nil {
		t.Errorf("ext is %v", ext)
	}
}
