package message

import (
	"math"
	"testing"

	"github.com/bufbuild/protocompile"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/block/blocktest"
)

// flowDescriptor is message Flow as flow.proto says it.
func flowDescriptor(t testing.TB) protoreflect.MessageDescriptor {
	t.Helper()
	compiler := protocompile.Compiler{Resolver: &protocompile.SourceResolver{}}
	files, err := compiler.Compile(t.Context(), "flow.proto")
	if err != nil {
		t.Fatal(err)
	}
	return files[0].Messages().ByName("Flow")
}

// decodedFlow is a message as the protobuf library reads it by the schema. Fields that the schema does not know are a
// mistake.
func decodedFlow(t testing.TB, d protoreflect.MessageDescriptor, data []byte) *dynamicpb.Message {
	t.Helper()
	m := dynamicpb.NewMessage(d)
	if err := proto.Unmarshal(data, m); err != nil {
		t.Fatalf("% x: %v", data, err)
	}
	check := func(m protoreflect.Message) {
		if unknown := m.GetUnknown(); len(unknown) > 0 {
			t.Errorf("%s has fields that are not in the schema: % x", m.Descriptor().Name(), unknown)
		}
	}
	check(m)
	check(m.Get(d.Fields().ByName("ext")).Message())
	return m
}

// Every field that the schema has, as protobuf's JSON mapping shows it: 64 bits as texts, bytes in base64.
func TestProtobuf(t *testing.T) {
	const address1, address2, address250 = "AAAAAAAAAAAAAP//wAACAQ==", "IAENuAAAAAAAAAAAAAAAAg==",
		"AAAAAAAAAAAAAP//wAAC+g=="
	full := map[string]any{
		"start_time_ms": "1795392000001", "end_time_ms": "1795392000999",
		"src_ip": address1, "dst_ip": address2, "src_port": 65535.0, "dst_port": 53.0, "protocol": "ipv6-icmp",
		"bit_count": "18446744073709551615", "packet_count": "9007199254740992", "device_id": "rtr1",
		"src_as_id": 64500.0, "dst_as_id": float64(math.MaxUint32), "in_interface_id": "rtr1::1",
		"out_interface_id": "rtr1::2",
		"ip_version":       6.0, "protocol_number": 58.0, "exporter_ip": address250, "flow_type": "netflow",
		"application_port": 53.0,
		"sampling_rate":    2048.0, "sampling_source": "record", "in_interface_edge": true, "out_interface_edge": true,
		"device_ref": "rtr1__v3", "src_as_ref": "64500__v1", "dst_as_ref": "4294967295__v1",
		"src_ip_ref": "192.0.2.0/24__v1", "dst_ip_ref": "2001:db8::/32__v1",
		"in_interface_ref": "rtr1::1__v1", "out_interface_ref": "rtr1::2__v2",
		"peer_ip": "AAAAAAAAAAAAAP//AAAAAA==", "peer_as_id": 64501.0, "peer_ip_ref": "0.0.0.0/0__v1",
		"peer_as_ref":  "64501__v1",
		"collector_id": "collector-1", "policy_originator": "example", "policy_level": "tlp:green",
		"policy_scope": []any{"comm:re", "as:64500"}, "in_if_index": 11.0, "out_if_index": 12.0, "tcp_flags": 511.0,
		"forwarding_status": 64.0, "next_hop": "AAAAAAAAAAAAAP//xjNkAQ==", "icmp_type": 129.0, "icmp_code": 255.0,
		"src_country": "CH", "dst_country": "NL",
		"ext": map[string]any{
			"bgp_as_path_id": []any{64500.0, 64501.0}, "bgp_as_path_padding": []any{1.0, 300.0},
			"bgp_community": []any{float64(65535<<16 | 65281), float64(64500 << 16)}, "bgp_local_pref": 200.0,
			"bgp_ext_community": []any{"RT:64500:7", "3:12:8"}, "bgp_large_community": []any{"4226809946:0:7"},
			"bgp_med": 50.0, "bgp_dst_prefix": "2001:db8::/32", "bgp_src_prefix": "192.0.2.0/24",
			"bgp_peer_src_as": 64510.0, "bgp_router": "192.0.2.250", "bgp_source": "bgp",
			"bgp_src_as_path_id": []any{64510.0, 64511.0}, "bgp_src_as_path_padding": []any{2.0, 1.0},
			"bgp_src_community":     []any{float64(64510<<16 | 3), float64(0xffffff01)},
			"bgp_src_ext_community": []any{"SoO:64500:9"}, "bgp_src_large_community": []any{"64510:1:2"},
			"bgp_src_local_pref": 90.0, "bgp_src_med": 8.0, "rpki_src": "valid", "rpki_dst": "invalid",
			"ipv4_tos": 184.0, "ipv4_dscp": 46.0, "ipv6_flow_label": 1048575.0,
			"mpls_label": []any{1048575.0, 0.0, 24001.0, 0.0}, "mpls_exp": []any{5.0, 0.0, 7.0, 0.0},
			"mpls_bottom_label": 24001.0,
			"mpls_pw":           float64(math.MaxUint32), "mpls_top_label_ip": "AAAAAAAAAAAAAP//ywBxCQ==",
			"mpls_top_label_type": 4.0,
			"vrf_name":            "customer-7", "mpls_vpn_rd": "0:64500:7", "vlan_id": 100.0, "vlan_in_id": 101.0,
			"vlan_out_id":      102.0,
			"vlan_in_inner_id": 103.0, "vlan_out_inner_id": 104.0,
			"src_ip_ref": map[string]any{"scireg": "11__v1"}, "dst_ip_ref": map[string]any{"scireg": "12__v1"},
			"stated_start_ms": "1125899906842624", "stated_end_ms": "1125899906842625",
		},
	}
	empty := map[string]any{
		"start_time_ms": "1795392000000", "end_time_ms": "1795392000000",
		"src_ip": "AAAAAAAAAAAAAAAAAAAAAA==", "dst_ip": "AAAAAAAAAAAAAAAAAAAAAA==", "protocol": "0",
		"device_id": "unknown", "ip_version": 4.0, "flow_type": "netflow", "sampling_source": "assumed",
		"collector_id": "collector-1", "policy_originator": "example", "policy_level": "tlp:green",
		"ext": map[string]any{},
	}
	descriptor := flowDescriptor(t)
	for name, test := range map[string]struct {
		row  enrich.Row
		want map[string]any
	}{
		"full":  {fullRow(), full},
		"empty": {blocktest.EmptyRow(), empty},
	} {
		t.Run(name, func(t *testing.T) {
			m := decodedFlow(t, descriptor, []byte(encoded(Protobuf, test.row)))
			text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, parse(t, string(text))); diff != "" {
				t.Errorf("want (-), decoded (+):\n%s", diff)
			}
		})
	}
	for _, message := range []protoreflect.MessageDescriptor{descriptor, descriptor.Fields().ByName("ext").Message()} {
		want := full
		if message.Name() == "Ext" {
			want = full["ext"].(map[string]any)
		}
		for i := range message.Fields().Len() {
			if name := string(message.Fields().Get(i).Name()); want[name] == nil {
				t.Errorf("%s.%s is in the schema, but the full row does not have it", message.Name(), name)
			}
		}
	}
}

// Optional fields that are 0 are there.
func TestProtobufZeroes(t *testing.T) {
	r := enrich.Row{Flow: &flow.Record{Protocol: flow.IPFIX, Has: ^flow.Fields(0), MPLSElements: 2}, HasPeer: true,
		MPLSLabel: []uint32{0, 0}, MPLSExp: []uint8{0, 0}}
	m := decodedFlow(t, flowDescriptor(t), []byte(encoded(Protobuf, r)))
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	got := parse(t, string(text))
	if got["peer_as_id"] != 0.0 || got["peer_ip"] == nil {
		t.Errorf("peer AS %v, address %v", got["peer_as_id"], got["peer_ip"])
	}
	want := map[string]any{
		"bgp_local_pref": 0.0, "bgp_med": 0.0, "ipv4_tos": 0.0, "ipv4_dscp": 0.0, "ipv6_flow_label": 0.0,
		"mpls_label": []any{0.0, 0.0}, "mpls_exp": []any{0.0, 0.0}, "mpls_pw": 0.0,
		"mpls_top_label_ip": "AAAAAAAAAAAAAAAAAAAAAA==", "mpls_top_label_type": 0.0, "vlan_id": 0.0, "vlan_in_id": 0.0,
		"vlan_out_id":      0.0,
		"vlan_in_inner_id": 0.0, "vlan_out_inner_id": 0.0,
	}
	if diff := cmp.Diff(want, got["ext"]); diff != "" {
		t.Errorf("ext, want (-), decoded (+):\n%s", diff)
	}
}
