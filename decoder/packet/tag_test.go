package packet

import (
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
)

// Tags and headers of switches that hide the packet from those who do not know them.
func TestTags(t *testing.T) {
	const proto = 6
	flow4 := outer4(proto, u16(51000), u16(443), bin("00000001 00000002 5018 ffff 00000000"))
	behind := func(kind uint16, parts ...[]byte) []byte { return join(ether(kind), join(parts...)) }
	inside := join(innerEther(typeIPv4), flow4)
	for _, test := range []struct {
		name  string
		frame []byte
		vlan  uint16
		inner uint16
	}{
		{"802.1ad", behind(typeQinQ, u16(101), u16(typeVLAN), u16(20), u16(typeIPv4), flow4), 101, 20},
		{"QinQ 0x9100", behind(typeQinQOld, u16(101), u16(typeVLAN), u16(20), u16(typeIPv4), flow4), 101, 20},
		{"QinQ 0x9200", behind(typeQinQ9200, u16(101), u16(typeVLAN), u16(20), u16(typeIPv4), flow4), 101, 20},
		{"QinQ 0x9300", behind(typeQinQ9300, u16(101), u16(typeVLAN), u16(20), u16(typeIPv4), flow4), 101, 20},
		{"Cisco CMD", behind(typeCMD, bin("01 01 0001 0003"), u16(typeIPv4), flow4), 0, 0},
		{"Cisco CMD behind a VLAN", behind(typeVLAN, u16(10), u16(typeCMD), bin("01 01 0001 0003"), u16(typeIPv4),
			flow4), 10, 0},
		{"Cisco CMD with two options", behind(typeCMD, bin("01 02 0001 0003 0002 0004"), u16(typeIPv4), flow4), 0, 0},
		{"VN-Tag before a VLAN", behind(typeVNTag, bin("00000014"), u16(typeVLAN), u16(101), u16(typeIPv4), flow4), 101,
			0},
		{"802.1BR E-Tag", behind(typeETag, bin("000000140000"), u16(typeVLAN), u16(101), u16(typeIPv4), flow4), 101, 0},
		{"802.1CB R-Tag", behind(typeRTag, bin("0000 1234"), u16(typeIPv4), flow4), 0, 0},
		{"HSR", behind(typeHSR, bin("0034 1234"), u16(typeIPv4), flow4), 0, 0},
		{"MACsec, integrity only", behind(typeMACsec, bin("00 00 00000001"), u16(typeIPv4), flow4), 0, 0},
		{"MACsec with its channel", behind(typeMACsec, bin("20 00 00000001 0200000000010001"), u16(typeVLAN), u16(7),
			u16(typeIPv4), flow4), 7, 0},
		{"PBB", behind(typeQinQ, u16(4001), u16(typePBB), bin("00002710"), inside), 4001, 0},
		{"PBB without a backbone VLAN", behind(typePBB, bin("00002710"), innerEther(typeVLAN), u16(30), u16(typeIPv4),
			flow4), 30, 0},
		{"FabricPath", behind(typeFabricPath, bin("0060"), innerEther(typeVLAN), u16(30), u16(typeIPv4), flow4), 30, 0},
		{"network service header", behind(typeNSH, bin("0fc2 0201 00002aff"), flow4), 0, 0},
		{"network service header with metadata", behind(typeNSH, bin("0fc6 0101 00002aff"), make([]byte, 16), flow4), 0,
			0},
		{"network service header with a frame", behind(typeNSH, bin("0fc2 0203 00002aff"), innerEther(typeVLAN),
			u16(30),
			u16(typeIPv4), flow4), 30, 0},
		{"network service header behind a VLAN", behind(typeVLAN, u16(9), u16(typeNSH), bin("0fc2 0201 00002aff"),
			flow4), 9, 0},
		{"FabricPath in a VLAN", behind(typeVLAN, u16(9), u16(typeFabricPath), bin("0060"), inside), 9, 0},
		{"PBB in QinQ 0x9100", behind(typeQinQOld, u16(12), u16(typePBB), bin("00002710"), inside), 12, 0},
		{"MACsec behind two VLANs", behind(typeQinQ, u16(11), u16(typeVLAN), u16(12), u16(typeMACsec),
			bin("00 00 00000001"), u16(typeIPv4), flow4), 11, 12},
		{"TRILL", behind(typeTRILL, bin("0006 0001 0002"), inside), 0, 0},
		{"TRILL with options", behind(typeTRILL, bin("0046 0001 0002 00000000"), inside), 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			var r flow.Record
			info := Options{}.Parse(test.frame, Ethernet, &r)
			if !info.IP || r.SrcAddr != a(outer4Src) || r.DstAddr != a(outer4Dst) || r.SrcPort != 51000 ||
				r.DstPort != 443 || r.TCPFlags != 0x18 {
				t.Fatalf("got %v:%d -> %v:%d, flags %#x, %+v", r.SrcAddr, r.SrcPort, r.DstAddr, r.DstPort, r.TCPFlags,
					info)
			}
			if r.FrameVLAN != test.vlan || test.inner != 0 && r.FrameInnerVLAN != test.inner {
				t.Errorf("VLAN %d, inner %d; want %d, %d", r.FrameVLAN, r.FrameInnerVLAN, test.vlan, test.inner)
			}
			if want := [6]byte(macs[6:]); r.SrcMAC != want {
				t.Errorf("source MAC %x, want that of the link: %x", r.SrcMAC, want)
			}
			if want := len(test.frame) - len(flow4); info.LinkLength != want {
				t.Errorf("%d bytes before the packet, want %d", info.LinkLength, want)
			}
			for cut := range test.frame { // no length is believed
				var r flow.Record
				if info := (Options{}).Parse(test.frame[:cut], Ethernet, &r); !info.Cut &&
					cut < len(test.frame)-len(flow4)+20 &&
					info.IP {
					t.Errorf("cut at %d: %+v", cut, info)
				}
			}
		})
	}
}

func TestTags_notRead(t *testing.T) {
	for name, frame := range map[string][]byte{
		"encrypted MACsec": join(ether(typeMACsec), bin("0c 00 00000001"), u16(typeIPv4), outer4(6)),
		"tags without end": join(ether(typeCMD), bin("01ff")),
		"17 VN-Tags": join(ether(typeVNTag), repeat(join(bin("00000014"), u16(typeVNTag)), 17), u16(typeIPv4),
			outer4(6)),
	} {
		var r flow.Record
		if info := (Options{}).Parse(frame, Ethernet, &r); info.IP || r.Sent(flow.SrcAddr) {
			t.Errorf("%s: an address was read: %+v", name, info)
		}
	}
}

func repeat(b []byte, n int) (all []byte) {
	for range n {
		all = append(all, b...)
	}
	return all
}
