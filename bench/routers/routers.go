// Package routers is BGP and BMP speakers with full tables, for measurements: many routers on loopback addresses that
// announce the prefixes of a real table with made-up attributes.
package routers

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/bmp"
	"github.com/metranova/flow-collector/decoder/route"
)

// Table reads prefixes, one a line, compressed with gzip or not. "" is the table of some 1.06 million prefixes that the
// module github.com/gaissmai/bart has as test data, in Go's module cache.
func Table(path string) ([]route.Prefix, error) {
	if path == "" {
		dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/gaissmai/bart").Output()
		if err != nil {
			return nil, fmt.Errorf("look for bart's table of prefixes (--table names another): %w", err)
		}
		path = filepath.Join(strings.TrimSpace(string(dir)), "internal", "tests", "testdata", "prefixes.txt.gz")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read a table of prefixes: %w", err)
	}
	defer f.Close()
	var in io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if in, err = gzip.NewReader(f); err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
	}
	var all []route.Prefix
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		p, err := netip.ParsePrefix(strings.TrimSpace(lines.Text()))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		all = append(all, route.PrefixFrom(p.Masked()))
	}
	return all, lines.Err()
}

// Different is how many sets of attributes a full table has.
const Different = 170_000

// origins is how many AS originate prefixes, about as many as there are in the Internet.
const origins = 78_000

// updatePrefixes is how many prefixes an UPDATE has, as in real tables.
const updatePrefixes = 6

// Stream is the UPDATEs of a whole table and the ends of both families. Attributes of different kinds have nothing in
// common. With monitoring they are Route Monitoring messages of a Loc-RIB.
func Stream(table []route.Prefix, kind uint32, monitoring bool, id uint32) []byte {
	w := writer{monitoring: monitoring}
	w.head = (&bmp.Peer{Type: bmp.LocRIBPeer, AS: 64500, ID: id}).Append(nil)
	w.announce(table, kind)
	w.message(nil, nil, nil)
	w.message(nil, []byte{0x80, 15, 3, 0, 2, 1}, nil)
	return w.out
}

// Updates is the UPDATEs of some prefixes, without the ends of their families.
func Updates(prefixes []route.Prefix, kind uint32) []byte {
	var w writer
	w.announce(prefixes, kind)
	return w.out
}

// Withdrawals is UPDATEs that withdraw prefixes, one each.
func Withdrawals(prefixes []route.Prefix) []byte {
	var w writer
	for _, p := range prefixes {
		n := bgp.AppendPrefix(nil, route.Unicast, 0, p)
		if p.V6 {
			w.message(nil, append([]byte{0x80, 15, byte(3 + len(n)), 0, 2, 1}, n...), nil)
		} else {
			w.message(n, nil, nil)
		}
	}
	return w.out
}

// Messages counts BGP messages.
func Messages(b []byte) (n int) {
	for len(b) > bgp.HeaderBytes {
		b = b[binary.BigEndian.Uint16(b[16:]):]
		n++
	}
	return n
}

// writer makes the messages of one router.
type writer struct {
	out        []byte
	monitoring bool // Route Monitoring messages, with head as the header of their peer
	head       []byte
}

func (w *writer) message(withdrawn, attributes, announced []byte) {
	b := bgp.AppendHeader(nil, bgp.UpdateType, 4+len(withdrawn)+len(attributes)+len(announced))
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(withdrawn))), withdrawn...)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(attributes))), attributes...)
	b = append(b, announced...)
	if w.monitoring {
		w.out = bmp.AppendMessage(w.out, bmp.RouteMonitoring, w.head, b)
	} else {
		w.out = append(w.out, b...)
	}
}

// announce makes the UPDATEs of prefixes.
func (w *writer) announce(table []route.Prefix, kind uint32) {
	var attributes, announced []byte
	for i, n := 0, uint32(0); i < len(table); n++ {
		end := i
		for end < len(table) && end < i+updatePrefixes && table[end].V6 == table[i].V6 {
			end++
		}
		label := kind<<20 ^ n%Different
		a := route.Attributes{HasLocalPref: true, LocalPref: 100, HasMED: true, MED: label,
			Path: []route.Segment{{Kind: route.Sequence, AS: []uint32{64501, 3356, label>>8 + 1, label%origins + 1}}}}
		for c := range uint32(8) {
			a.Communities = append(a.Communities, 64500<<16|(label+c)%2000)
		}
		announced = announced[:0]
		for _, p := range table[i:end] {
			announced = bgp.AppendPrefix(announced, route.Unicast, 0, p)
		}
		attributes = bgp.AppendAttributes(attributes[:0], &a, route.Unicast, table[i].V6)
		if table[i].V6 {
			attributes = append(attributes, 0x90, 14, 0, 0, 0, 2, 1, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0,
				0, 0, 1, 0)
			at := len(attributes) - 25
			attributes = append(attributes, announced...)
			binary.BigEndian.PutUint16(attributes[at+2:], uint16(len(attributes)-at-4))
			w.message(nil, attributes, nil)
		} else {
			attributes = append(attributes, 0x40, 3, 4, 192, 0, 2, 1)
			w.message(nil, attributes, announced)
		}
		i = end
	}
}

// Speaker is a router with a session.
type Speaker struct {
	conn    net.Conn
	refresh atomic.Pointer[func()]
}

// OnRefresh has f called for each ROUTE-REFRESH message that comes. A speaker of BMP gets none.
func (s *Speaker) OnRefresh(f func()) { s.refresh.Store(&f) }

// read reads what the collector sends until the session ends.
func (s *Speaker) read() {
	head := make([]byte, bgp.HeaderBytes)
	for {
		if _, err := io.ReadFull(s.conn, head); err != nil {
			return
		}
		if n := int64(binary.BigEndian.Uint16(head[16:])) - bgp.HeaderBytes; n > 0 {
			if _, err := io.CopyN(io.Discard, s.conn, n); err != nil {
				return
			}
		}
		if f := s.refresh.Load(); f != nil && bgp.Type(head[18]) == bgp.RefreshType {
			(*f)()
		}
	}
}

// ID is the BGP identifier and the loopback address of a router: 127.17.0.1 and so on.
func ID(n int) uint32 { return 127<<24 | 17<<16 | uint32(n+1) }

// Address is the address of a router.
func Address(n int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], ID(n))
	return netip.AddrFrom4(b)
}

// Connect has a session from a router's address.
func Connect(to string, n int, monitoring bool) (*Speaker, error) {
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(Address(n), 0)),
		Timeout: 10 * time.Second}
	c, err := dialer.Dial("tcp", to)
	if err != nil {
		return nil, err
	}
	open := bgp.Open{AS: 64500, ID: ID(n)} // no hold time: nothing times out
	open.MultiProtocol, open.Extended, open.Refresh = true, true, true
	open.Families[route.Family{}.Index()], open.Families[route.Family{V6: true}.Index()] = true, true
	message := open.Append(nil)
	if monitoring {
		loc := bmp.Peer{Type: bmp.LocRIBPeer, AS: 64500, ID: ID(n)}
		b := bmp.AppendMessage(nil, bmp.Initiation, bmp.AppendText(nil, 2, fmt.Sprintf("router%d", n)))
		b = bmp.AppendMessage(b, bmp.PeerUp, loc.Append(nil), bmp.AppendUp(nil, loc.Address, 0, 0, message, message))
		_, err = c.Write(b)
		return &Speaker{conn: c}, err
	}
	if _, err = c.Write(message); err != nil {
		return nil, err
	}
	answer := make([]byte, bgp.HeaderBytes)
	if _, err = io.ReadFull(c, answer); err != nil || bgp.Type(answer[18]) != bgp.OpenType {
		return nil, errors.Join(fmt.Errorf("no session: message %d", answer[18]), err)
	}
	if _, err = io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint16(answer[16:]))-bgp.HeaderBytes); err != nil {
		return nil, err
	}
	if _, err = c.Write(bgp.AppendKeepalive(nil)); err != nil {
		return nil, err
	}
	s := &Speaker{conn: c}
	go s.read()
	return s, nil
}

// Send sends messages.
func (s *Speaker) Send(b []byte) error {
	_, err := s.conn.Write(b)
	return err
}

// Close ends the session without a word.
func (s *Speaker) Close() { _ = s.conn.Close() }
