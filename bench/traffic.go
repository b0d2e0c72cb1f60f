package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/urfave/cli/v3"
)

func trafficCommand() *cli.Command {
	return &cli.Command{
		Name:  "traffic",
		Usage: "write a capture of known traffic for a flow exporter to read",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "o", Usage: "write to `FILE`", Required: true},
			&cli.IntFlag{Name: "flows", Usage: "number of `N` conversations", Value: 120},
			&cli.Uint64Flag{Name: "seed", Usage: "seed of the random choices", Value: 1},
			&cli.TimestampFlag{Name: "start", Usage: "`TIME` of the first packet (default: now)",
				Config: cli.TimestampConfig{Layouts: []string{time.RFC3339}}},
		},
		Action: func(_ context.Context, c *cli.Command) error {
			start := c.Timestamp("start")
			if start.IsZero() {
				start = time.Now().UTC()
			}
			return writeTraffic(c.String("o"), start, c.Int("flows"), c.Uint64("seed"))
		},
	}
}

// A site is a network at which conversations end; the exporters' networks file gives its AS number.
type site struct{ v4, v6 netip.Prefix }

// sites are prefixes that no one routes: RFC 2544's benchmarking network and RFC 3849's documentation prefix.
func sites() []site {
	list := make([]site, 0, 6)
	for i := range 6 {
		list = append(list, site{
			v4: netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(16 * i), 0}), 20),
			v6: netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0x00, byte(i + 1)}), 48),
		})
	}
	return list
}

// traffic writes the frames of conversations in order of time.
type traffic struct {
	rng    *rand.Rand
	out    *pcapgo.Writer
	now    time.Time
	buffer gopacket.SerializeBuffer
}

func writeTraffic(path string, start time.Time, flows int, seed uint64) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("writing traffic: %w", err)
	}
	t := &traffic{
		rng:    rand.New(rand.NewPCG(seed, 0)),
		out:    pcapgo.NewWriter(file),
		now:    start,
		buffer: gopacket.NewSerializeBuffer(),
	}
	if err := t.out.WriteFileHeader(65535, layers.LinkTypeEthernet); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	for range flows {
		if err := t.conversation(); err != nil {
			return fmt.Errorf("writing %s: %w", path, err)
		}
	}
	return file.Close()
}

// conversation writes some packets between two sites, in both directions.
func (t *traffic) conversation() error {
	all := sites()
	from, to := all[t.rng.IntN(len(all))], all[t.rng.IntN(len(all))]
	v6 := t.rng.IntN(3) == 0
	src, dst := t.host(from, v6), t.host(to, v6)
	var vlan uint16
	if t.rng.IntN(4) == 0 {
		vlan = uint16(100 + t.rng.IntN(3))
	}
	sport, dport := uint16(32768+t.rng.IntN(28000)), t.service()
	kind := t.rng.IntN(10)
	packets := 2 + t.rng.IntN(12)
	for i := range packets {
		a, b, sp, dp := src, dst, sport, dport
		if i%3 == 2 {
			a, b, sp, dp = dst, src, dport, sport
		}
		size := 40 + t.rng.IntN(1360)
		var transport gopacket.SerializableLayer
		protocol := layers.IPProtocolTCP
		switch {
		case kind == 0:
			protocol, transport = t.echo(v6, i%3 == 2)
		case kind < 4:
			protocol = layers.IPProtocolUDP
			transport = &layers.UDP{SrcPort: layers.UDPPort(sp), DstPort: layers.UDPPort(dp)}
		default:
			transport = &layers.TCP{
				SrcPort: layers.TCPPort(sp), DstPort: layers.TCPPort(dp), Window: 65535,
				SYN: i < 2, ACK: i > 0, PSH: i > 2, FIN: i >= packets-2, Seq: uint32(1000 * i),
			}
		}
		if err := t.packet(a, b, vlan, protocol, transport, size); err != nil {
			return err
		}
	}
	return nil
}

func (t *traffic) host(s site, v6 bool) netip.Addr {
	if v6 {
		a := s.v6.Addr().As16()
		a[15] = byte(1 + t.rng.IntN(40))
		return netip.AddrFrom16(a)
	}
	a := s.v4.Addr().As4()
	a[2] += byte(t.rng.IntN(4))
	a[3] = byte(1 + t.rng.IntN(40))
	return netip.AddrFrom4(a)
}

func (t *traffic) service() uint16 {
	ports := []uint16{443, 443, 443, 80, 53, 22, 2811, 50123, 1094, 5201, 8443}
	return ports[t.rng.IntN(len(ports))]
}

func (t *traffic) echo(v6, reply bool) (layers.IPProtocol, gopacket.SerializableLayer) {
	if v6 {
		kind := uint8(layers.ICMPv6TypeEchoRequest)
		if reply {
			kind = layers.ICMPv6TypeEchoReply
		}
		return layers.IPProtocolICMPv6, &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(kind, 0)}
	}
	kind := uint8(layers.ICMPv4TypeEchoRequest)
	if reply {
		kind = layers.ICMPv4TypeEchoReply
	}
	return layers.IPProtocolICMPv4, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(kind, 0), Id: 7, Seq: 1}
}

// packet writes one frame and moves the clock on.
func (t *traffic) packet(src, dst netip.Addr, vlan uint16, protocol layers.IPProtocol,
	transport gopacket.SerializableLayer, payload int) error {
	t.now = t.now.Add(time.Duration(5+t.rng.IntN(120)) * time.Millisecond)
	ethernet := &layers.Ethernet{
		SrcMAC: net.HardwareAddr{0x02, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{0x02, 0, 0, 0, 0, 2},
	}
	etherType := layers.EthernetTypeIPv4
	if src.Is6() {
		etherType = layers.EthernetTypeIPv6
	}
	stack := []gopacket.SerializableLayer{ethernet}
	ethernet.EthernetType = etherType
	if vlan != 0 {
		ethernet.EthernetType = layers.EthernetTypeDot1Q
		stack = append(stack, &layers.Dot1Q{VLANIdentifier: vlan, Type: etherType})
	}
	network, err := t.network(src, dst, protocol, transport)
	if err != nil {
		return err
	}
	stack = append(stack, network, transport, gopacket.Payload(make([]byte, payload)))
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(t.buffer, options, stack...); err != nil {
		return err
	}
	frame := t.buffer.Bytes()
	return t.out.WritePacket(gopacket.CaptureInfo{Timestamp: t.now, CaptureLength: len(frame), Length: len(frame)},
		frame)
}

func (t *traffic) network(src, dst netip.Addr, protocol layers.IPProtocol,
	transport gopacket.SerializableLayer) (gopacket.SerializableLayer, error) {
	var layer gopacket.NetworkLayer
	var out gopacket.SerializableLayer
	if src.Is4() {
		ip := &layers.IPv4{Version: 4, TTL: 63, TOS: 8, Protocol: protocol, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
		layer, out = ip, ip
	} else {
		ip := &layers.IPv6{Version: 6, HopLimit: 63, TrafficClass: 32, FlowLabel: 0x12345, NextHeader: protocol,
			SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
		layer, out = ip, ip
	}
	switch l := transport.(type) {
	case *layers.TCP:
		return out, l.SetNetworkLayerForChecksum(layer)
	case *layers.UDP:
		return out, l.SetNetworkLayerForChecksum(layer)
	case *layers.ICMPv6:
		return out, l.SetNetworkLayerForChecksum(layer)
	}
	return out, nil
}
