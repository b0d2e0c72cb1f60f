package enrich

import (
	"slices"
	"strconv"
	"strings"

	"github.com/metranova/flow-collector/decoder/flow"
)

// Policy is the configuration of the policy columns: who may see a row.
type Policy struct {
	Scopes     []string // of every row, in this order
	AutoScopes bool     // add as:<number> for both ends, and comm:<name> for the route distinguisher
	// CommunityScopes maps the part of a route distinguisher after its last colon to a community's name.
	CommunityScopes map[string]string
	// Label returns what is different for an exporter; nil: nothing is. The exporter's address is the one that names it
	// in rows. Label is called from all workers, once for each exporter after a change of the policy or of metadata.
	Label func(exporter flow.Addr) *Label
}

// scopes builds the policy_scope of rows in memory that it reuses.
type scopes struct {
	policy       Policy
	configured   []string          // without duplicates
	configuredAS []uint32          // the AS numbers among them
	community    map[string]string // the whole scope, comm:<name>
	row          []string
}

func newScopes(p Policy) scopes {
	s := scopes{policy: p, community: map[string]string{}}
	s.configure(p.Scopes)
	for key, name := range p.CommunityScopes {
		s.community[key] = "comm:" + name
	}
	return s
}

// with returns the scopes of a policy that has other configured ones.
func (s *scopes) with(configured []string) *scopes {
	other := &scopes{policy: s.policy, community: s.community}
	other.configure(configured)
	return other
}

func (s *scopes) configure(list []string) {
	for _, scope := range list {
		if !slices.Contains(s.configured, scope) {
			s.configured = append(s.configured, scope)
		}
		if id, err := strconv.ParseUint(strings.TrimPrefix(scope, "as:"), 10, 32); err == nil &&
			scope == asScope(uint32(id)) {
			s.configuredAS = append(s.configuredAS, uint32(id))
		}
	}
}

// of returns the scopes of a row: the configured ones, then the automatic ones, sorted; each once. The slice is valid
// until the next call. src and dst are the two AS. Their texts are not compared, as reading them would cost a cache
// miss.
func (s *scopes) of(src, dst scopedAS, rd string) []string {
	if !s.policy.AutoScopes {
		return s.configured
	}
	s.row = append(s.row[:0], s.configured...)
	if decimalLess(dst.id, src.id) {
		src, dst = dst, src
	}
	s.addAS(src)
	if dst.id != src.id {
		s.addAS(dst)
	}
	// comm: sorts after as:.
	if i := strings.LastIndexByte(rd, ':'); i >= 0 {
		if scope := s.community[rd[i+1:]]; scope != "" && !slices.Contains(s.configured, scope) {
			s.row = append(s.row, scope)
		}
	}
	return s.row
}

// scopedAS is an AS with its scope's text.
type scopedAS struct {
	id    uint32
	scope string
}

func (s *scopes) addAS(as scopedAS) {
	if as.id != 0 && !slices.Contains(s.configuredAS, as.id) {
		s.row = append(s.row, as.scope)
	}
}

// decimalLess reports whether a sorts before b as decimal text: 100 before 20 before 200.
func decimalLess(a, b uint32) bool {
	x, y := widen(a), widen(b)
	return x < y || x == y && a < b // equal after widening, such as 2 and 20: the shorter one is first
}

// widen multiplies a number by ten until it has ten digits, as the largest AS number has.
func widen(n uint32) uint64 {
	x := uint64(n)
	for x != 0 && x < 1e9 {
		x *= 10
	}
	return x
}
