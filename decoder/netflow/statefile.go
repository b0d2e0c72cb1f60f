package netflow

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"

	"github.com/metranova/flow-collector/decoder/flow"
)

// A saved state is a file of lines, each of them JSON. The first has the version; every other one is a part of what is
// known of one source, a SourceState. Parts of one source add up. So neither writer nor reader needs the whole in
// memory, and a file that is cut or damaged is of use up to there.
//
// Version 1 was one object of all sources. It is still read.

// StateVersion is the version of states that are written.
const StateVersion = 2

// The limits of a file and of one of its lines, in bytes. The writer stays within what the reader accepts.
const (
	maxStateBytes = 64 << 20
	maxStateLine  = 8 << 20
)

// The limits of one line's content: its JSON is far below maxStateLine.
const (
	lineFields = 10_000
	lineNames  = 2000
)

// VersionError is the error for a state of an unknown version: a later release wrote it.
type VersionError int

func (v VersionError) Error() string {
	return fmt.Sprintf("version %d: only versions up to %d are understood", int(v), StateVersion)
}

// WriteState writes a state, in lines. Sources that gave data come first, and names of interfaces last, so that these
// are omitted if the file would exceed what ReadState accepts. The error is then LeftOut, and the file is usable.
func WriteState(w io.Writer, s State) error {
	out := stateWriter{w: w}
	out.line(struct {
		Version int `json:"version"`
	}{StateVersion})
	sources := slices.Clone(s.Sources)
	slices.SortStableFunc(sources, func(a, b SourceState) int {
		switch {
		case a.Proven == b.Proven:
			return 0
		case a.Proven:
			return -1
		}
		return 1
	})
	for i := range sources {
		out.source(&sources[i])
	}
	for i := range sources {
		out.names(&sources[i])
	}
	if out.err == nil && out.leftOut > 0 {
		return LeftOut(out.leftOut)
	}
	return out.err
}

// LeftOut is how many lines were omitted because the file had reached its limit.
type LeftOut int

func (n LeftOut) Error() string {
	return fmt.Sprintf("%d lines are left out: the file is at its bound", int(n))
}

type stateWriter struct {
	w       io.Writer
	bytes   int
	leftOut int
	err     error
}

func (o *stateWriter) line(v any) {
	if o.err != nil {
		return
	}
	line, err := json.Marshal(v)
	if err != nil {
		o.err = err
		return
	}
	if len(line) >= maxStateLine || o.bytes+len(line)+1 > maxStateBytes {
		o.leftOut++
		return
	}
	o.bytes += len(line) + 1
	_, o.err = o.w.Write(append(line, '\n'))
}

// source writes all but templates and names, then the templates.
func (o *stateWriter) source(s *SourceState) {
	head := *s
	head.Interfaces, head.VRFs, head.RDs, head.Domains = nil, nil, nil, slices.Clone(s.Domains)
	for i := range head.Domains {
		head.Domains[i].Templates = nil
	}
	o.line(&head)
	for _, domain := range s.Domains {
		part := DomainState{Protocol: domain.Protocol, Domain: domain.Domain}
		fields := 0
		flush := func() {
			if len(part.Templates) > 0 {
				o.line(&SourceState{Address: s.Address, Domains: []DomainState{part}})
			}
			part.Templates, fields = nil, 0
		}
		for _, t := range domain.Templates {
			if fields += len(t.Fields) + 1; fields > lineFields {
				flush()
			}
			part.Templates = append(part.Templates, t)
		}
		flush()
	}
}

func (o *stateWriter) names(s *SourceState) {
	for part := range parts(s.Interfaces) {
		o.line(&SourceState{Address: s.Address, Interfaces: part})
	}
	for part := range parts(s.VRFs) {
		o.line(&SourceState{Address: s.Address, VRFs: part})
	}
	for part := range parts(s.RDs) {
		o.line(&SourceState{Address: s.Address, RDs: part})
	}
}

// parts splits a map into maps of at most lineNames.
func parts[V any](all map[uint32]V) func(yield func(map[uint32]V) bool) {
	return func(yield func(map[uint32]V) bool) {
		part := map[uint32]V{}
		for k, v := range all {
			if part[k] = v; len(part) == lineNames {
				if !yield(part) {
					return
				}
				part = map[uint32]V{}
			}
		}
		if len(part) > 0 {
			yield(part)
		}
	}
}

// ReadState reads what WriteState wrote. With an error it returns everything before it; the error is a VersionError if
// a later release wrote the file. The state is validated when a decoder uses it.
func ReadState(r io.Reader) (State, error) {
	lines := json.NewDecoder(io.LimitReader(r, maxStateBytes))
	var s State
	if err := lines.Decode(&s); err != nil {
		return State{Version: StateVersion}, err
	}
	switch s.Version {
	case 1:
		return s, nil
	case StateVersion:
		return readLines(lines)
	}
	return State{Version: StateVersion}, VersionError(s.Version)
}

func readLines(lines *json.Decoder) (State, error) {
	s := State{Version: StateVersion}
	at := map[netip.Addr]int{}
	domains := map[domainKey]int{}
	for {
		var part SourceState
		err := lines.Decode(&part)
		if err == io.EOF {
			return s, nil
		}
		if err != nil {
			return s, err
		}
		i, known := at[part.Address]
		if !known {
			i = len(s.Sources)
			at[part.Address] = i
			s.Sources = append(s.Sources, SourceState{Address: part.Address, Exporter: part.Exporter,
				InitMs: part.InitMs, Proven: part.Proven})
		}
		s.Sources[i].add(&part, domains)
	}
}

// domainKey names an observation domain of a source.
type domainKey struct {
	address  netip.Addr
	protocol string
	domain   uint32
}

// add adds a part of the state of the same source. at has the indexes of its domains.
func (s *SourceState) add(part *SourceState, at map[domainKey]int) {
	if s.Interfaces == nil && len(part.Interfaces) > 0 {
		s.Interfaces = map[uint32]flow.InterfaceName{}
	}
	maps.Copy(s.Interfaces, part.Interfaces)
	if s.VRFs == nil && len(part.VRFs) > 0 {
		s.VRFs = map[uint32]string{}
	}
	maps.Copy(s.VRFs, part.VRFs)
	if s.RDs == nil && len(part.RDs) > 0 {
		s.RDs = map[uint32][8]byte{}
	}
	maps.Copy(s.RDs, part.RDs)
	for _, domain := range part.Domains {
		key := domainKey{part.Address, domain.Protocol, domain.Domain}
		i, known := at[key]
		if !known {
			at[key] = len(s.Domains)
			s.Domains = append(s.Domains, domain)
			continue
		}
		s.Domains[i].Templates = append(s.Domains[i].Templates, domain.Templates...)
	}
}
