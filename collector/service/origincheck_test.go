package service

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/decoder/route"
)

// originCheck validates routes by RFC 6811 section 2 in the plainest way: it asks for all shorter prefixes.
type originCheck struct {
	origins  map[netip.Prefix][2]uint32 // origin AS of each route, 0: its path ends in a set; and as pmacct has it
	payloads map[netip.Prefix]uint32    // AS of each VRP, whose maximum length is that of its prefix
}

// of is the state of a route: "v", "i" or "u".
func (c *originCheck) of(p netip.Prefix, pmacct bool) string {
	state, origin := "u", c.origins[p][0]
	if pmacct {
		origin = c.origins[p][1]
	}
	for bits := p.Bits(); bits >= 0; bits-- {
		at, _ := p.Addr().Prefix(bits)
		if as, found := c.payloads[at]; found {
			state = "i"
			if bits == p.Bits() && as == origin {
				return "v"
			}
		}
	}
	return state
}

// state is the value of pmacct's roa key for an address, quoted: the state of the longest route, or if that is invalid
// "V" or "U" for the longest of the shorter ones that is valid or unknown. It is empty without a route.
func (c *originCheck) state(t *testing.T, address string, pmacct bool) string {
	t.Helper()
	a, err := netip.ParseAddr(strings.Trim(address, `"`))
	if err != nil {
		t.Fatal(err)
	}
	state := ""
	for bits := a.BitLen(); bits >= 0; bits-- {
		p, _ := a.Prefix(bits)
		if _, found := c.origins[p]; !found {
			continue
		}
		switch s := c.of(p, pmacct); {
		case state == "":
			if state = s; s != "i" {
				return `"` + s + `"`
			}
		case s != "i":
			return `"` + strings.ToUpper(s) + `"`
		}
	}
	if state == "" {
		return ""
	}
	return `"` + state + `"`
}

// originOf is the AS that a route with a path is validated with: 0 if it ends in a set, the router's own if it has no
// member outside confederations. The second is the last member of any kind, or the router's own: pmacct's.
func originOf(path []route.Segment) [2]uint32 {
	as := [2]uint32{64500, 64500} // of the speaker
	for _, s := range path {
		last := s.AS[len(s.AS)-1]
		as[1] = last
		switch {
		case s.Kind == route.Set:
			as[0] = 0
		case !s.Kind.Confederation():
			as[0] = last
		}
	}
	return as
}
