package enrich

import (
	"math/bits"
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
	row          []string          // the configured ones, in memory with room for the automatic ones of a row
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
	const automatic = 3 // both AS and the community
	s.row = append(make([]string, 0, len(s.configured)+automatic), s.configured...)
}

// of returns the scopes of a row: the configured ones, then the automatic ones, sorted; each once. The slice is valid
// until the next call. src and dst are the two AS. Their texts are not compared, as reading them would cost a cache
// miss.
func (s *scopes) of(src, dst scopedAS, rd string) []string {
	if !s.policy.AutoScopes {
		return s.configured
	}
	row := s.row
	if decimalLess(dst.id, src.id) {
		src, dst = dst, src
	}
	row = s.addAS(row, src)
	if dst.id != src.id {
		row = s.addAS(row, dst)
	}
	// comm: sorts after as:.
	if rd != "" {
		row = s.addCommunity(row, rd)
	}
	return row
}

func (s *scopes) addCommunity(row []string, rd string) []string {
	if i := strings.LastIndexByte(rd, ':'); i >= 0 {
		if scope := s.community[rd[i+1:]]; scope != "" && !slices.Contains(s.configured, scope) {
			row = append(row, scope)
		}
	}
	return row
}

// scopedAS is an AS with its scope's text.
type scopedAS struct {
	id    uint32
	scope string
}

func (s *scopes) addAS(row []string, as scopedAS) []string {
	if as.id != 0 && !slices.Contains(s.configuredAS, as.id) {
		row = append(row, as.scope)
	}
	return row
}

// decimalLess reports whether a sorts before b as decimal text: 100 before 20 before 200.
func decimalLess(a, b uint32) bool {
	x, y := widen(a), widen(b)
	return x < y || x == y && a < b // equal after widening, such as 2 and 20: the shorter one is first
}

// widen multiplies a number by ten until it has ten digits, as the largest AS number has.
func widen(n uint32) uint64 {
	// With b bits a number has b*1233/4096 digits or one more (1233/4096 is the logarithm of 2).
	digits := bits.Len32(n) * 1233 >> 12
	x := uint64(n) * widening[digits]
	if x >= 1e10 {
		x /= 10
	}
	return x
}

// widening is by what a number is multiplied that has so many digits, or one more: see widen.
var widening = [...]uint64{1e10, 1e9, 1e8, 1e7, 1e6, 1e5, 1e4, 1e3, 1e2, 1e1}
