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

// Scopes are the policy scopes of a row, in this order and each once. The zero value has none.
type Scopes struct {
	Listed    []string  // the configured ones; they belong to the policy
	AS        [2]uint32 // the AS numbers of scopes as:<number>, in the order of their texts; 0: none
	Community string    // the scope comm:<name>; "": none
}

// Append appends the texts of all scopes to list.
func (s *Scopes) Append(list []string) []string {
	list = append(list, s.Listed...)
	for _, as := range s.ASNumbers() {
		list = append(list, string(AppendASScope(nil, as)))
	}
	if s.Community != "" {
		list = append(list, s.Community)
	}
	return list
}

// ASNumbers returns those of AS that are not 0.
func (s *Scopes) ASNumbers() []uint32 {
	from, to := 0, len(s.AS)
	if s.AS[0] == 0 {
		from = 1
	}
	if s.AS[1] == 0 {
		to = max(from, 1)
	}
	return s.AS[from:to]
}

// AppendASScope appends the text of the scope of an AS: as:<number>.
func AppendASScope(text []byte, as uint32) []byte {
	return strconv.AppendUint(append(text, "as:"...), uint64(as), 10)
}

// scopes are those that a policy gives to rows.
type scopes struct {
	policy       Policy
	configured   []string          // without duplicates
	configuredAS []uint32          // the AS numbers among them
	community    map[string]string // the whole scope, comm:<name>
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
			scope == string(AppendASScope(nil, uint32(id))) {
			s.configuredAS = append(s.configuredAS, uint32(id))
		}
	}
}

// set sets the scopes of a row: the configured ones, then the automatic ones. src and dst are the AS of both ends.
func (s *scopes) set(row *Scopes, src, dst uint32, rd string) {
	*row = Scopes{Listed: s.configured}
	if !s.policy.AutoScopes {
		return
	}
	if dst == src {
		dst = 0
	}
	src, dst = s.unlessConfigured(src), s.unlessConfigured(dst)
	if decimalLess(dst, src) {
		src, dst = dst, src
	}
	row.AS = [2]uint32{src, dst}
	if rd != "" {
		row.Community = s.communityOf(rd)
	}
}

// unlessConfigured returns an AS number, or 0 if its scope is among the configured ones.
func (s *scopes) unlessConfigured(as uint32) uint32 {
	if slices.Contains(s.configuredAS, as) {
		return 0
	}
	return as
}

// communityOf returns the scope of the community that a route distinguisher is mapped to; "" if it is to none.
func (s *scopes) communityOf(rd string) string {
	if i := strings.LastIndexByte(rd, ':'); i >= 0 {
		if scope := s.community[rd[i+1:]]; !slices.Contains(s.configured, scope) {
			return scope
		}
	}
	return ""
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
