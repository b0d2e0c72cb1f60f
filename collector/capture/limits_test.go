package capture

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// block is a block of a pcapng file. claimed, if not 0, is the length that it says it has.
func block(kind uint32, claimed int, body ...[]byte) []byte {
	b := bytes.Join(body, nil)
	b = append(b, make([]byte, -len(b)&3)...)
	if claimed == 0 {
		claimed = len(b) + 12
	}
	out := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, kind), uint32(claimed))
	return binary.LittleEndian.AppendUint32(append(out, b...), uint32(claimed))
}

func words(all ...uint32) (b []byte) {
	for _, w := range all {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}

// Blocks of a pcapng file.
var (
	section      = block(0x0a0d0d0a, 0, words(0x1a2b3c4d, 1, 0xffffffff, 0xffffffff))
	oneInterface = block(1, 0, words(uint32(layers.LinkTypeEthernet), 0))
)

func packetBlock(claimed uint32, data []byte) []byte {
	return block(6, int(claimed)+32, words(0, 0, 0, claimed, claimed), data)
}

func packed(t *testing.T, data []byte, times int) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	for range times {
		if _, err := z.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Whatever lengths a capture claims, and however much it unfolds to, memory is bounded, and the end is one line that
// names the file.
func TestLimits(t *testing.T) {
	classic := words(0xa1b2c3d4, 4<<16|2, 0, 0, 1<<31, uint32(layers.LinkTypeEthernet))
	binary.LittleEndian.PutUint16(classic[4:], 2)
	binary.LittleEndian.PutUint16(classic[6:], 4)
	zeros := make([]byte, 1<<20)
	gz := func(head []byte, rest []byte, times int) []byte { // members of gzip can follow each other
		return append(packed(t, head, 1), packed(t, rest, times)...)
	}
	frames := func(n int, f func(i int) []byte) []byte {
		b := bytes.Clone(classic)
		for i := range n {
			p := f(i)
			b = append(append(b, words(1, 0, uint32(len(p)), uint32(len(p)))...), p...)
		}
		return b
	}
	tests := []struct {
		name string
		data []byte
		want string // of the error; "": the file is read to its end
	}{
		{"pcap, a packet of 2 GB that is not there", append(bytes.Clone(classic), words(1, 0, 1<<31, 1<<31)...),
			"ends within a packet"},
		{"pcap, a packet of 256 MB", gz(append(bytes.Clone(classic), words(1, 0, 1<<28, 1<<28)...), zeros, 256),
			"a packet of more than 4194304 bytes"},
		{"pcapng, a packet of 4 GB that is not there", bytes.Join([][]byte{section, oneInterface,
			packetBlock(1<<31, []byte("x"))}, nil), "ends within a packet"},
		{"pcapng, a packet of 256 MB", gz(bytes.Join([][]byte{section, oneInterface,
			block(6, 1<<28+32, words(0, 0, 0, 1<<28, 1<<28))[:28]}, nil), zeros, 256),
			"a packet of more than 4194304 bytes"},
		{"pcapng, interfaces without end", gz(section, bytes.Repeat(oneInterface, 1000), 300),
			"more than the 4194304 bytes allowed"},
		{"pcapng, long interfaces between packets", gz(section, append(block(1, 0,
			words(uint32(layers.LinkTypeEthernet), 0, 2|60_000<<16), make([]byte, 60_000), words(0)),
			packetBlock(4, []byte("abcd"))...), 3000), "more than 8388608 bytes of interfaces"},
		{"IPv4 fragments of 8 bytes", frames(100_000, func(i int) []byte {
			ip := layers.IPv4{Version: 4, IHL: 5, TTL: 9, Id: uint16(i), FragOffset: uint16(i>>16) * 2,
				Flags: layers.IPv4MoreFragments, Protocol: layers.IPProtocolUDP, SrcIP: net.IP{192, 0, 2, 1},
				DstIP: net.IP{192, 0, 2, byte(i >> 16)}, Length: 28}
			return quickly(&ip, make([]byte, 8))
		}), ""},
		{"TCP segments of a byte", frames(100_000, func(i int) []byte {
			ip := layers.IPv4{Version: 4, TTL: 9, Protocol: layers.IPProtocolTCP, SrcIP: net.IP{192, 0, 2, 1},
				DstIP: net.IP{192, 0, 2, byte(i >> 10)}}
			tcp := layers.TCP{SrcPort: 1, DstPort: 179, Seq: uint32(2 * (i & 1023)), SYN: i&1023 == 0}
			_ = tcp.SetNetworkLayerForChecksum(&ip)
			return quickly(&ip, nil, &tcp, gopacket.Payload{1})
		}), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := save(t, test.data)
			test.data = nil
			before, most, started := memory(), int64(0), time.Now()
			r, err := Open(path)
			if err == nil {
				r.segments = func(Segment) bool { return true }
				for n := 0; err == nil; n++ {
					_, err = r.Next()
					if n%100_000 == 0 {
						most = max(most, memory()-before)
					}
				}
				most = max(most, memory()-before)
				_ = r.Close()
			}
			if test.want == "" && !errors.Is(err, io.EOF) || test.want != "" && (!strings.Contains(err.Error(),
				test.want) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n")) {
				t.Errorf("%v, want %s", err, test.want)
			}
			if most > 160<<20 {
				t.Errorf("%d MiB are held", most>>20)
			}
			t.Logf("%d MiB, %s", most>>20, time.Since(started).Round(time.Millisecond))
		})
	}
}

// memory is what is in use, in bytes.
func memory() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// quickly is an Ethernet frame.
func quickly(ip *layers.IPv4, payload []byte, above ...gopacket.SerializableLayer) []byte {
	buffer := gopacket.NewSerializeBuffer()
	all := append([]gopacket.SerializableLayer{ethernet(layers.EthernetTypeIPv4), ip}, above...)
	if payload != nil {
		all = append(all, gopacket.Payload(payload))
	}
	_ = gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true}, all...)
	return bytes.Clone(buffer.Bytes())
}
