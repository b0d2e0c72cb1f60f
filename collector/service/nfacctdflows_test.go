package service

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/bench/routers"
	"github.com/metranova/flow-collector/decoder/route"
)

// flowDatagram is a datagram of NetFlow v9, and the keys of its flows.
type flowDatagram struct {
	payload []byte
	keys    []string
}

// flowsTo are flows between addresses of the table's prefixes, each with ports of its own. The first is to the last
// prefix.
func flowsTo(table []route.Prefix, n int) (all []flowDatagram) {
	rng := rand.New(rand.NewPCG(1, 2))
	families := [2][]route.Prefix{}
	for _, p := range table {
		if p.V6 {
			families[1] = append(families[1], p)
		} else {
			families[0] = append(families[0], p)
		}
	}
	pick := func(v6 int) netip.Addr {
		p := families[v6][rng.IntN(len(families[v6]))].Netip()
		b := p.Addr().AsSlice()
		for bit := p.Bits(); bit < 8*len(b); bit++ { // any address in it
			if rng.IntN(2) == 1 {
				b[bit/8] |= 0x80 >> (bit % 8)
			}
		}
		a, _ := netip.AddrFromSlice(b)
		return a
	}
	const inDatagram = 10
	for made, sequence := 0, uint32(0); made < n; sequence++ {
		v6 := 0
		if sequence%7 == 3 {
			v6 = 1
		}
		var d flowDatagram
		var data []byte
		for range min(inDatagram, n-made) {
			src, dst := pick(v6), pick(v6)
			if made == 0 {
				dst = families[0][len(families[0])-1].Netip().Addr()
			}
			if made%50 == 7 { // nobody announces it
				dst = netip.MustParseAddr([]string{"240.1.2.3", "3fff::7"}[v6])
			}
			srcPort, dstPort := uint16(made%60_000+1), uint16(made/60_000+1)
			data = append(append(data, src.AsSlice()...), dst.AsSlice()...)
			data = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(data, srcPort), dstPort)
			data = append(data, 17, byte(made%3)*4, byte(rng.IntN(9)), byte(rng.IntN(9))) // protocol, ToS, masks
			for _, x := range []uint32{uint32(made%9 + 1), uint32(made%8 + 1), 1000 + uint32(made), 7,
				uint32(made % 2 * 65_100), 65_200} { // interfaces, bytes, packets, AS
				data = binary.BigEndian.AppendUint32(data, x)
			}
			d.keys = append(d.keys, fmt.Sprintf("%s %d %s %d", src, srcPort, dst, dstPort))
			made++
		}
		d.payload = netFlow(sequence, v6, len(d.keys), data)
		all = append(all, d)
	}
	return all
}

// netFlow is a datagram of NetFlow v9 with its template.
func netFlow(sequence uint32, v6, n int, data []byte) []byte {
	fields := [][2]uint16{{8, 4}, {12, 4}, {7, 2}, {11, 2}, {4, 1}, {5, 1}, {9, 1}, {13, 1}, {10, 4}, {14, 4}, {1, 4},
		{2, 4}, {16, 4}, {17, 4}}
	if v6 == 1 {
		fields[0], fields[1], fields[6], fields[7] = [2]uint16{27, 16}, [2]uint16{28, 16}, [2]uint16{29, 1},
			[2]uint16{30, 1}
	}
	id := uint16(256 + v6)
	b := binary.BigEndian.AppendUint16(nil, 9)
	b = binary.BigEndian.AppendUint16(b, uint16(1+n))
	for _, x := range []uint32{3_600_000, uint32(time.Now().Unix()), sequence, 1} {
		b = binary.BigEndian.AppendUint32(b, x)
	}
	for _, x := range []uint16{0, uint16(8 + 4*len(fields)), id, uint16(len(fields))} {
		b = binary.BigEndian.AppendUint16(b, x)
	}
	for _, f := range fields {
		b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, f[0]), f[1])
	}
	padding := (4 - len(data)%4) % 4
	b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, id), uint16(4+len(data)+padding))
	return append(append(b, data...), make([]byte, padding)...)
}

// sendFrom sends a datagram from the router's address.
func sendFrom(t *testing.T, to string, payload []byte) {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.UDPAddr{IP: routers.Address(0).AsSlice()}}
	socket, err := dialer.Dial("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if _, err := socket.Write(payload); err != nil {
		t.Fatal(err)
	}
}

// readNfacctd reads the lines of its output from an offset on, and returns the next offset.
func readNfacctd(t *testing.T, path string, from int, into map[string][]byte) int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		return from // nothing was written yet
	}
	end := bytes.LastIndexByte(text, '\n') + 1
	if end <= from {
		return from
	}
	for lines := bufio.NewScanner(bytes.NewReader(text[from:end])); lines.Scan(); {
		if bytes.HasPrefix(lines.Bytes(), []byte("{")) {
			into[flowKey(rawKeys(t, lines.Bytes()))] = bytes.Clone(lines.Bytes())
		}
	}
	return end
}

// rawKeys are the values of an object as they are written.
func rawKeys(t *testing.T, line []byte) map[string]string {
	t.Helper()
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(line, &raw); err != nil {
		t.Fatalf("%v: %q", err, line)
	}
	all := map[string]string{}
	for key, value := range raw {
		all[key] = string(value)
	}
	return all
}

// flowKey is what tells flows apart.
func flowKey(raw map[string]string) string {
	text := func(key string) string { return strings.Trim(raw[key], `"`) }
	return fmt.Sprintf("%s %s %s %s", text("ip_src"), text("port_src"), text("ip_dst"), text("port_dst"))
}

var keyOf = regexp.MustCompile(`[{,] ?"([a-z_]+)":`)

// order is the order of the keys of interest in an object.
func order(line []byte) (keys []string) {
	for _, m := range keyOf.FindAllSubmatch(line, -1) {
		if slices.Contains(nfacctdKeys, string(m[1])) {
			keys = append(keys, string(m[1]))
		}
	}
	return keys
}
