package enrich

import (
	"slices"
	"strings"
)

// Policy is what rows say of who may see them.
type Policy struct {
	Scopes     []string // of every row, in this order
	AutoScopes bool     // add as:<number> of both ends, and comm:<name> by the route distinguisher
	// CommunityScopes are community names by the part of the route distinguisher after its last colon.
	CommunityScopes map[string]string
}

// scopes makes the policy_scope of rows in memory that it reuses.
type scopes struct {
	policy     Policy
	configured []string          // without duplicates
	community  map[string]string // the whole scope, comm:<name>
	unknownAS  map[uint32]string // scopes of AS numbers that meta_as does not have
	row        []string
}

// maxUnknownAS bounds the memory for AS numbers that meta_as does not have.
const maxUnknownAS = 1 << 16

func newScopes(p Policy) scopes {
	s := scopes{policy: p, community: map[string]string{}, unknownAS: map[uint32]string{}}
	for _, scope := range p.Scopes {
		if !slices.Contains(s.configured, scope) {
			s.configured = append(s.configured, scope)
		}
	}
	for key, name := range p.CommunityScopes {
		s.community[key] = "comm:" + name
	}
	return s
}

// of returns the scopes of a row: the configured ones, then the automatic ones in order, each once. The slice is valid
// until the next call. src and dst are the scopes of the two AS.
func (s *scopes) of(src, dst, rd string) []string {
	if !s.policy.AutoScopes {
		return s.configured
	}
	s.row = append(s.row[:0], s.configured...)
	s.insert(src)
	s.insert(dst)
	if i := strings.LastIndexByte(rd, ':'); i >= 0 {
		s.insert(s.community[rd[i+1:]])
	}
	return s.row
}

// insert puts a scope among the automatic ones, in order, unless it is there already.
func (s *scopes) insert(scope string) {
	if scope == "" || slices.Contains(s.row, scope) {
		return
	}
	i := len(s.configured)
	for i < len(s.row) && s.row[i] < scope {
		i++
	}
	s.row = slices.Insert(s.row, i, scope)
}

// unknown is the scope of an AS number that meta_as does not have; "" for 0.
func (s *scopes) unknown(id uint32) string {
	if id == 0 {
		return ""
	}
	scope, found := s.unknownAS[id]
	if !found {
		if len(s.unknownAS) >= maxUnknownAS {
			clear(s.unknownAS)
		}
		scope = asScope(id)
		s.unknownAS[id] = scope
	}
	return scope
}
