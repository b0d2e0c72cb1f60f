// Package pmacct reads the files of pmacct that operators have: its maps of routers and VRFs, lists of BGP neighbours
// and keys, and the configuration of its daemons, which it converts to ours.
package pmacct

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"unicode"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
)

// Bounds of a file.
const (
	maxLine  = 64 << 10
	maxLines = 1 << 20
	// maxProblems is how many problems of a file are told one by one.
	maxProblems = 100
)

// A reader goes through the lines of a file, and collects what is wrong with them.
type reader struct {
	path     string
	line     int
	problems []error
	more     int // problems beyond maxProblems
}

func (r *reader) wrong(format string, a ...any) {
	if len(r.problems) >= maxProblems {
		r.more++
		return
	}
	r.problems = append(r.problems, fmt.Errorf("%s:%d: %s", r.path, r.line, fmt.Sprintf(format, a...)))
}

// read calls f for each line that is neither empty nor a comment. The error has all problems, one a line.
func (r *reader) read(from io.Reader, f func(line string)) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(make([]byte, 4096), maxLine)
	for r.line = 1; lines.Scan(); r.line++ {
		text := strings.TrimSpace(lines.Text())
		if r.line == 1 {
			text = strings.TrimPrefix(text, "\ufeff")
		}
		if r.line > maxLines {
			r.wrong("more than %d lines", maxLines)
			break
		}
		if text == "" || strings.ContainsRune("!#;", rune(text[0])) {
			continue
		}
		f(text)
	}
	if err := lines.Err(); err != nil {
		r.wrong("%v", err)
	}
	if r.more > 0 {
		r.problems = append(r.problems, fmt.Errorf("%s: %d further problems", r.path, r.more))
	}
	return errors.Join(r.problems...)
}

// readFile is read for a file.
func readFile(path string, f func(r *reader, line string)) error {
	from, err := os.Open(path)
	if err != nil {
		var failed *os.PathError
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return fmt.Errorf("%s: %w", path, err)
	}
	defer from.Close()
	r := &reader{path: path}
	return r.read(from, func(line string) { f(r, line) })
}

// prefix parses an address or a prefix.
func prefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is neither an address nor a prefix", s)
	}
	return p.Masked(), nil
}

// ReadAllowed reads a file of addresses and prefixes, one a line: pmacct's bgp_daemon_allow_file and
// bmp_daemon_allow_file. The error names all wrong lines.
func ReadAllowed(path string) (allowed []netip.Prefix, err error) {
	err = readFile(path, func(r *reader, line string) {
		p, err := prefix(line)
		if err != nil {
			r.wrong("%v", err)
			return
		}
		allowed = append(allowed, p)
	})
	return allowed, err
}

// maxKey is TCP_MD5SIG_MAXKEYLEN of the kernel.
const maxKey = 80

// ReadKeys reads a file of TCP-MD5 keys, a line of address or prefix, comma, key for each neighbour: pmacct's
// bgp_daemon_md5_file. The error names all wrong lines and no key.
func ReadKeys(path string) (map[netip.Prefix]string, error) {
	keys := map[netip.Prefix]string{}
	err := readFile(path, func(r *reader, line string) {
		neighbor, key, found := strings.Cut(line, ",")
		key = strings.TrimSpace(key)
		if !found || key == "" {
			r.wrong("a line is ADDRESS, KEY")
			return
		}
		p, err := prefix(strings.TrimSpace(neighbor))
		switch {
		case err != nil:
			r.wrong("%v", err)
		case len(key) > maxKey:
			r.wrong("the key has %d bytes: the most is %d", len(key), maxKey)
		case keys[p] != "":
			r.wrong("%s has a key already", neighbor)
		default:
			keys[p] = key
		}
	})
	return keys, err
}

// words splits a line at blanks. Those within single or double quotes belong to a word, as in filter='vlan and ip'.
func words(r *reader, line string) (all []string) {
	quote, begin := rune(0), -1
	for i, c := range line {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
			continue
		case c == '\'' || c == '"':
			quote = c
		}
		if blank := unicode.IsSpace(c); blank && begin >= 0 {
			all, begin = append(all, line[begin:i]), -1
		} else if !blank && begin < 0 {
			begin = i
		}
	}
	if quote != 0 {
		r.wrong("a quote is not closed")
	}
	if begin >= 0 {
		all = append(all, line[begin:])
	}
	return all
}

// pairs splits a line of a map into its key=value pairs.
func pairs(r *reader, line string, f func(key, value string) error) {
	seen := map[string]bool{}
	for _, word := range words(r, line) {
		key, value, found := strings.Cut(word, "=")
		switch {
		case !found || key == "" || value == "":
			r.wrong("%q is not KEY=VALUE", word)
			continue
		case seen[key]:
			r.wrong("%s twice", key)
			continue
		}
		seen[key] = true
		if err := f(key, value); err != nil {
			r.wrong("%s: %v", word, err)
		}
	}
}

// match takes the keys by which both maps choose flows. ours is false for other keys.
func match(m *enrich.Match, key, value string) (ours bool, err error) {
	switch key {
	case "ip":
		m.Exporter, err = prefix(value)
	case "in":
		m.In, m.NotIn, err = maybeNot(value)
	case "out":
		m.Out, m.NotOut, err = maybeNot(value)
	default:
		return false, nil
	}
	return true, err
}

// maybeNot parses an interface number, which a minus sign makes any other one.
func maybeNot(value string) (n *uint32, not bool, err error) {
	value, not = strings.CutPrefix(value, "-")
	n, err = number(value)
	return n, not, err
}

func number(value string) (*uint32, error) {
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		return nil, errors.New("is not a number up to 4294967295")
	}
	v := uint32(n)
	return &v, nil
}

// ReadAgents reads pmacct's bgp_agent_map and bmp_agent_map: lines of bgp_ip=ROUTER or bmp_ip=ROUTER, ip=EXPORTER, and
// in, out and filter. The error names all wrong lines.
func ReadAgents(path string) (rules []enrich.AgentRule, err error) {
	err = readFile(path, func(r *reader, line string) {
		var rule enrich.AgentRule
		known, before := false, len(r.problems)+r.more
		pairs(r, line, func(key, value string) error {
			if ours, err := match(&rule.Match, key, value); ours {
				return err
			}
			switch key {
			case "bgp_ip", "bmp_ip":
				a, err := netip.ParseAddr(value)
				if err != nil {
					return errors.New("is not an address")
				}
				rule.Router, known = flow.AddrFrom(a), true
			case "bgp_port", "bmp_port":
				return errors.New("routers behind one address are told apart by their BGP identifier: give that " +
					"as bgp_ip")
			case "filter":
				return family(&rule.Match, value)
			default:
				return errors.New("is not a key of this map: bgp_ip, bmp_ip, ip, in, out, filter")
			}
			return nil
		})
		switch {
		case before < len(r.problems)+r.more:
			return
		case !known:
			r.wrong("bgp_ip or bmp_ip is missing")
		case !rule.Exporter.IsValid():
			r.wrong("ip is missing: 0.0.0.0/0 is all exporters with an IPv4 address, ::/0 all others")
		default:
			rules = append(rules, rule)
		}
	})
	return rules, err
}

// family takes a filter, an expression of libpcap, which in these maps is to tell IPv4 from IPv6 only: pmacct's
// examples have 'ip', 'ip6', 'vlan and ip' and 'ip6 or (vlan and ip6)'. Flow records are of IPv4 or IPv6 with a VLAN or
// without.
func family(m *enrich.Match, value string) error {
	v4, v6 := false, false
	for _, word := range strings.Fields(strings.NewReplacer("(", " ", ")", " ").
		Replace(strings.Trim(strings.ToLower(value), `'"`))) {
		switch word {
		case "ip", "ip4", "ipv4":
			v4 = true
		case "ip6", "ipv6":
			v6 = true
		case "vlan", "and", "or", "&&", "||":
		default:
			return errors.New("only ip and ip6 are understood, alone or with vlan")
		}
	}
	switch {
	case v4 && v6: // all flows
	case v4:
		m.IPVersion = 4
	case v6:
		m.IPVersion = 6
	default:
		return errors.New("has neither ip nor ip6")
	}
	return nil
}

// ReadVRFs reads pmacct's flow_to_rd_map: lines of id=RD, ip=EXPORTER, and in, out, bgp_nexthop, mpls_vpn_id and
// mpls_label_bottom. The error names all wrong lines.
func ReadVRFs(path string) (rules []enrich.VRFRule, err error) {
	err = readFile(path, func(r *reader, line string) {
		var rule enrich.VRFRule
		known, before := false, len(r.problems)+r.more
		pairs(r, line, func(key, value string) (err error) {
			if ours, err := match(&rule.Match, key, value); ours {
				return err
			}
			switch key {
			case "id":
				rule.RD, err = ParseRD(value)
				known = true
			case "bgp_nexthop":
				rule.NextHop, err = prefix(value)
			case "mpls_vpn_id":
				rule.VRF, err = number(value)
			case "mpls_label_bottom":
				rule.BottomLabel, err = number(value)
			case "filter":
				err = family(&rule.Match, value)
			default:
				err = errors.New(
					"is not a key of this map: id, ip, in, out, bgp_nexthop, mpls_vpn_id, mpls_label_bottom, filter")
			}
			return err
		})
		switch {
		case before < len(r.problems)+r.more:
		case !known:
			r.wrong("id is missing")
		case !rule.Exporter.IsValid():
			r.wrong("ip is missing: 0.0.0.0/0 is all exporters with an IPv4 address, ::/0 all others")
		default:
			rules = append(rules, rule)
		}
	})
	return rules, err
}

// ParseRD parses a route distinguisher: TYPE:ADMINISTRATOR:NUMBER as pmacct writes it, or ADMINISTRATOR:NUMBER, whose
// administrator is an IPv4 address or an AS number. 0:0:0 is the global table.
func ParseRD(s string) (rd [8]byte, err error) {
	bad := fmt.Errorf("%q is not a route distinguisher such as 0:64500:7, 1:192.0.2.1:7 or 64500:7", s)
	parts := strings.Split(s, ":")
	kind := uint64(0)
	switch len(parts) {
	case 3:
		if kind, err = strconv.ParseUint(parts[0], 10, 16); err != nil || kind > 2 {
			return rd, bad
		}
		parts = parts[1:]
	case 2:
		if as, err := strconv.ParseUint(parts[0], 10, 32); err != nil {
			kind = 1
		} else if as > 0xffff {
			kind = 2
		}
	default:
		return rd, bad
	}
	binary.BigEndian.PutUint16(rd[:], uint16(kind))
	bits := 16 // of the number
	switch kind {
	case 1:
		a, failed := netip.ParseAddr(parts[0])
		if failed != nil || !a.Is4() {
			return rd, bad
		}
		copy(rd[2:], a.AsSlice())
	case 2:
		as, failed := strconv.ParseUint(parts[0], 10, 32)
		binary.BigEndian.PutUint32(rd[2:], uint32(as))
		err = failed
	default:
		bits = 32
		as, failed := strconv.ParseUint(parts[0], 10, 16)
		binary.BigEndian.PutUint16(rd[2:], uint16(as))
		err = failed
	}
	n, failed := strconv.ParseUint(parts[1], 10, bits)
	if cmp.Or(err, failed) != nil {
		return [8]byte{}, bad
	}
	if bits == 32 {
		binary.BigEndian.PutUint32(rd[4:], uint32(n))
	} else {
		binary.BigEndian.PutUint16(rd[6:], uint16(n))
	}
	return rd, nil
}
