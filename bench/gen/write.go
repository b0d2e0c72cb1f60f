package gen

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// collectorAddress is where the datagrams of a capture go.
func collectorAddress(p flow.Protocol) netip.AddrPort {
	port := uint16(2055)
	switch p {
	case flow.IPFIX:
		port = 4739
	case flow.SFlow5:
		port = 6343
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
}

// WriteFile writes a capture file. progress, unless it is nil, is told of each datagram written. The error names the
// file.
func WriteFile(path string, o Options, progress func(datagrams int)) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write capture: %w", err)
	}
	out := bufio.NewWriterSize(file, 1<<20)
	w := &captureWriter{
		out: pcapgo.NewWriterNanos(out), buffer: gopacket.NewSerializeBuffer(), to: collectorAddress(o.Protocol),
	}
	err = w.out.WriteFileHeader(65535, layers.LinkTypeEthernet)
	n := 0
	if err == nil {
		err = Each(o, func(d exporter.Datagram) error {
			if n++; progress != nil {
				progress(n)
			}
			return w.write(d)
		})
	}
	if err = errors.Join(err, out.Flush(), file.Close()); err != nil {
		return fmt.Errorf("write capture %s: %w", path, err)
	}
	return nil
}

// captureWriter wraps datagrams into frames.
type captureWriter struct {
	out    *pcapgo.Writer
	buffer gopacket.SerializeBuffer
	to     netip.AddrPort
}

func (w *captureWriter) write(d exporter.Datagram) error {
	ethernet := &layers.Ethernet{
		SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2},
		EthernetType: layers.EthernetTypeIPv4,
	}
	ip := &layers.IPv4{
		Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: d.Source.Addr().AsSlice(),
		DstIP: w.to.Addr().AsSlice(),
	}
	udp := &layers.UDP{SrcPort: layers.UDPPort(d.Source.Port()), DstPort: layers.UDPPort(w.to.Port())}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		return err
	}
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(w.buffer, options, ethernet, ip, udp, gopacket.Payload(d.Payload)); err != nil {
		return err
	}
	frame := w.buffer.Bytes()
	return w.out.WritePacket(gopacket.CaptureInfo{
		Timestamp: time.Unix(0, d.Received).UTC(), CaptureLength: len(frame), Length: len(frame),
	}, frame)
}
