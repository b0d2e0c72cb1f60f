package bgp

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
)

var errBundle = errors.New("truncated attributes")

// Decode fills a from the data of a bundle that a Walker has made. Reset a before. It is safe for concurrent use.
func Decode(data []byte, a *route.Attributes) error {
	if len(data) < bundleHead {
		return errBundle
	}
	flags := data[0]
	a.Internal = flags&bundleInternal != 0
	a.NextHop = flow.Addr(data[1:bundleHead])
	var path, path4 []byte
	for data = data[bundleHead:]; len(data) > 0; {
		if len(data) < 3 {
			return errBundle
		}
		t, n := data[0], int(binary.BigEndian.Uint16(data[1:]))
		if n > len(data)-3 {
			return errBundle
		}
		v := data[3 : 3+n]
		data = data[3+n:]
		switch t {
		case attrOrigin:
			a.Origin = route.Origin(v[0])
		case attrPath:
			path = v
		case attrAS4Path:
			path4 = v
		case attrMED:
			a.HasMED, a.MED = true, binary.BigEndian.Uint32(v)
		case attrLocalPref:
			a.HasLocalPref, a.LocalPref = true, binary.BigEndian.Uint32(v)
		case attrCommunities:
			for ; len(v) >= 4; v = v[4:] {
				a.Communities = append(a.Communities, binary.BigEndian.Uint32(v))
			}
		case attrExtended:
			for ; len(v) >= 8; v = v[8:] {
				a.Extended = append(a.Extended, binary.BigEndian.Uint64(v))
			}
		case attrLarge:
			for ; len(v) >= 12; v = v[12:] {
				a.Large = append(a.Large, route.Large{Global: binary.BigEndian.Uint32(v),
					Data1: binary.BigEndian.Uint32(v[4:]), Data2: binary.BigEndian.Uint32(v[8:])})
			}
		}
	}
	a.Communities = sortUnique(a.Communities)
	a.Extended = sortUnique(a.Extended)
	a.Large = sortUniqueFunc(a.Large, func(x, y route.Large) int {
		return cmp.Or(cmp.Compare(x.Global, y.Global), cmp.Compare(x.Data1, y.Data1), cmp.Compare(x.Data2, y.Data2))
	})
	size := 4
	if flags&bundleTwoByteAS != 0 {
		size = 2
	}
	a.Path = appendSegments(a.Path, path, size)
	if size == 2 && path4 != nil {
		a.Path = mergePaths(a.Path, appendSegments(nil, path4, 4))
	}
	return nil
}

// sortUnique sorts communities and removes duplicates. Their order has no meaning (RFC 1997, RFC 8092), and pmacct does
// the same.
func sortUnique[T cmp.Ordered](all []T) []T {
	if !slices.IsSorted(all) {
		slices.Sort(all)
	}
	return slices.Compact(all)
}

// sortUniqueFunc is sortUnique with an order.
func sortUniqueFunc[T comparable](all []T, order func(T, T) int) []T {
	if !slices.IsSortedFunc(all, order) {
		slices.SortFunc(all, order)
	}
	return slices.Compact(all)
}

// appendSegments appends the segments of an AS_PATH or AS4_PATH whose AS numbers have size bytes.
func appendSegments(path []route.Segment, v []byte, size int) []route.Segment {
	for len(v) >= 2 {
		n := int(v[1])
		s := route.Segment{Kind: route.SegmentKind(v[0]), AS: make([]uint32, 0, n)}
		for v = v[2:]; n > 0 && len(v) >= size; n, v = n-1, v[size:] {
			if size == 2 {
				s.AS = append(s.AS, uint32(binary.BigEndian.Uint16(v)))
			} else {
				s.AS = append(s.AS, binary.BigEndian.Uint32(v))
			}
		}
		path = append(path, s)
	}
	return path
}

// mergePaths reconstructs the path with 4-byte AS numbers (RFC 6793 section 4.2.3): the AS numbers by which AS_PATH is
// longer than AS4_PATH, then AS4_PATH. It may change the segments of path.
func mergePaths(path, path4 []route.Segment) []route.Segment {
	more := pathLength(path) - pathLength(path4)
	if more < 0 || len(path4) == 0 {
		return path
	}
	var merged []route.Segment
	for _, s := range path {
		if s.Kind.Confederation() {
			merged = append(merged, s) // AS4_PATH has no confederation segments
			continue
		}
		if more == 0 {
			break
		}
		if s.Kind == route.Set {
			more--
		} else {
			s.AS = s.AS[:min(more, len(s.AS))]
			more -= len(s.AS)
		}
		merged = append(merged, s)
	}
	for i, s := range path4 {
		if s.Kind.Confederation() {
			continue // must not be in AS4_PATH: discarded (RFC 6793 section 6)
		}
		if last := len(merged) - 1; i == 0 && last >= 0 && s.Kind == route.Sequence && merged[last].Kind == s.Kind {
			merged[last].AS = append(merged[last].AS[:len(merged[last].AS):len(merged[last].AS)], s.AS...)
			continue
		}
		merged = append(merged, s)
	}
	return merged
}

// pathLength returns the number of AS numbers in a path, where a set counts as one and confederation segments do not
// count (RFC 4271 section 9.1.2.2, RFC 5065 section 5.3).
func pathLength(path []route.Segment) (n int) {
	for _, s := range path {
		switch s.Kind {
		case route.Sequence:
			n += len(s.AS)
		case route.Set:
			n++
		}
	}
	return n
}
