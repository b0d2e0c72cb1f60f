package sflow

import (
	"fmt"
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
)

// permutations calls f with every order of the parts.
func permutations(parts [][]byte, f func(order [][]byte)) {
	var walk func(n int)
	walk = func(n int) {
		if n == len(parts) {
			f(parts)
			return
		}
		for i := n; i < len(parts); i++ {
			parts[n], parts[i] = parts[i], parts[n]
			walk(n + 1)
			parts[n], parts[i] = parts[i], parts[n]
		}
	}
	walk(0)
}

func ethernetRecord(size int) []byte {
	mac := func(last byte) []byte { return append([]byte{2, 0, 0, 0, 0, last}, make([]byte, size-6)...) }
	return typed(sampledEthernet, words(1518), mac(1), mac(2), words(0x0800))
}

// Several descriptions of one packet complete each other, in whatever order they come.
func TestCase51_DescriptionsCompleteEachOther(t *testing.T) {
	own4 := ipRecord(sampledIPv4, 1500, 6, "10.0.0.1", "10.0.0.2", 1234, 443, 0x18, 32)
	own6 := ipRecord(sampledIPv6, 1480, 6, "2001:db8::1", "2001:db8::2", 1234, 443, 0x12, 32)
	icmp := ipRecord(sampledIPv4, 100, 1, "10.0.0.1", "10.0.0.2", 8, 5, 0, 0)
	other := ipRecord(sampledIPv4, 1500, 17, "172.16.0.1", "172.16.0.2", 53, 53, 0, 0)
	fragment := tcp4()
	fragment[14+7] = 100 // the fragment's offset
	fragment = fragment[:14+20+3]
	ping := join(bin("020000000002 020000000001 0800 45000064 00010000 4001 0000"), ip("10.0.0.1"), ip("10.0.0.2"))
	for _, test := range []struct {
		name             string
		records          [][]byte
		srcPort, dstPort uint16
		flags            uint16
		bytes            uint64
		mac              byte
		has, hasNot      flow.Fields
	}{
		{"a whole header and the agent's own", [][]byte{headerRecord(1, 1518, tcp4()), own4}, 1234, 443, 0x12, 1500, 1,
			flow.TCPFlags, 0},
		{"cut before the flags", [][]byte{headerRecord(1, 1518, tcp4()[:14+20+6]), own4}, 1234, 443, 0x18, 1500, 1,
			flow.TCPFlags, 0},
		{"cut before the ports", [][]byte{headerRecord(1, 1518, tcp4()[:14+20]), own4}, 1234, 443, 0x18, 1500, 1,
			flow.SrcPort, 0},
		{"cut within IPv4", [][]byte{headerRecord(1, 1518, tcp4()[:14+10]), own4}, 1234, 443, 0x18, 1500, 1,
			flow.SrcAddr, 0},
		{"cut within Ethernet", [][]byte{headerRecord(1, 1518, tcp4()[:10]), own4}, 1234, 443, 0x18, 1500, 0,
			flow.SrcAddr, flow.SrcMAC},
		{"IPv6 cut before the ports", [][]byte{headerRecord(1, 1518, ethernet6()[:14+40]), own6}, 1234, 443, 0x12, 1480,
			1, flow.TCPFlags | flow.FlowLabel, 0},
		{"ICMP cut", [][]byte{headerRecord(1, 118, ping), icmp}, 0, 0, 0, 100, 1, flow.ICMP, flow.SrcPort},
		{"another packet, as inside a tunnel", [][]byte{headerRecord(1, 1518, tcp4()[:14+20]), other}, 0, 0, 0, 1500, 1,
			flow.SrcAddr, flow.SrcPort},
		{"a later fragment has no ports", [][]byte{headerRecord(1, 1518, fragment), own4}, 0, 0, 0, 1500, 1,
			flow.SrcAddr, flow.SrcPort},
		{"a packet header and the agent's MACs", [][]byte{headerRecord(headerIPv4, 1500, packet4()), ethernetRecord(8)},
			1234, 443, 0x12, 1500, 1, flow.SrcMAC, 0},
		{"the agent's own only", [][]byte{own4, ethernetRecord(8)}, 1234, 443, 0x18, 1500, 1, flow.SrcMAC | flow.Bytes,
			0},
		{"the agent's own only, addresses without padding", [][]byte{own4, ethernetRecord(6)}, 1234, 443, 0x18, 1500, 1,
			flow.SrcMAC, 0},
		{"the agent's own of length 0", [][]byte{headerRecord(1, 1518, tcp4()),
			ipRecord(sampledIPv4, 0, 6, "10.0.0.1", "10.0.0.2", 1234, 443, 0x18, 0)}, 1234, 443, 0x12, 1518, 1,
			flow.Bytes, 0},
		{"all three", [][]byte{headerRecord(1, 1518, tcp4()[:14+20]), own4, ethernetRecord(6)}, 1234, 443, 0x18, 1500,
			1, flow.TCPFlags, 0},
	} {
		n := 0
		permutations(test.records, func(order [][]byte) {
			n++
			t.Run(fmt.Sprintf("%s/order %d", test.name, n), func(t *testing.T) {
				l := newLab(t, Options{})
				r := l.sample(compact(plainHead, order...))
				equal(t, "source port", r.SrcPort, test.srcPort)
				equal(t, "destination port", r.DstPort, test.dstPort)
				equal(t, "flags", r.TCPFlags, test.flags)
				equal(t, "bytes", r.Bytes, test.bytes)
				equal(t, "source MAC's last byte", r.SrcMAC[5], test.mac)
				equal(t, "fields sent", r.Has&test.has, test.has)
				equal(t, "fields not sent", r.Has&test.hasNot, 0)
				l.failed(nil)
			})
		})
	}
}

// An agent that gives the length of what it sampled in the place of the frame's: the packet's own length counts.
func TestCase49_LengthOfTheSampleOnly(t *testing.T) {
	long := tcp4()
	long[16], long[17] = 1500>>8, 1500&0xff
	tagged := tcp4(5)
	tagged[20], tagged[21] = 1500>>8, 1500&0xff
	long6 := ethernet6()
	long6[18], long6[19] = 1460>>8, 1460&0xff
	for _, test := range []struct {
		name   string
		record []byte
		bytes  uint64
	}{
		{"IPv4", headerRecord(1, uint32(len(long)), long), 1518},
		{"a stripped checksum counted", headerRecord(1, uint32(len(long))+4, long), 1518},
		{"with a tag", headerRecord(1, uint32(len(tagged)), tagged), 1522},
		{"IPv6", headerRecord(1, uint32(len(long6)), long6), 1518},
		{"a packet", headerRecord(headerIPv4, uint32(len(long)-14), long[14:]), 1500},
		{"the frame's length is right", headerRecord(1, 1518, long), 1518},
		{"a frame with more than its packet", headerRecord(1, 9000, long), 9000},
		{"a length between", headerRecord(1, 1000, long), 1000},
		{"a short packet", headerRecord(1, 64, tcp4()), 64},
		{"a short packet, its checksum not counted", headerRecord(1, uint32(len(tcp4())), tcp4()), uint64(len(tcp4()))},
		{"0", headerRecord(1, 0, long), 1518},
	} {
		t.Run(test.name, func(t *testing.T) {
			equal(t, "bytes", newLab(t, Options{}).sample(compact(plainHead, test.record)).Bytes, test.bytes)
		})
	}
}

// A packet under the number of Ethernet.
func TestCase50_PacketInThePlaceOfAFrame(t *testing.T) {
	for name, packet := range map[string][]byte{"IPv4": packet4(), "IPv6": packet6()} {
		for _, more := range []int{0, 4} {
			l := newLab(t, Options{})
			r := l.sample(compact(plainHead, headerRecord(1, uint32(len(packet)+more), packet)))
			equal(t, name+" source port", r.SrcPort, 1234)
			equal(t, name+" MAC sent", r.Sent(flow.SrcMAC), false)
		}
	}
	l := newLab(t, Options{})
	frame := tcp4()
	frame[0] = 0x45 // a MAC address that begins as IPv4 does
	r := l.sample(compact(plainHead, headerRecord(1, 1518, frame)))
	equal(t, "MAC sent", r.Sent(flow.SrcMAC), true)
}
