package block

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"github.com/metranova/flow-collector/enrich"
)

// objectVersion is the format version of a JSON column (ClickHouse, SerializationObject): V1, which every server since
// 24.8 can read.
const objectVersion = 0

// ext is the ext column, of a JSON type. Paths that the table declares are columns of their own. All others go into the
// column's shared data, with the types that ClickHouse would infer from JSON text.
type ext struct {
	typ    string  // the column's type as the table declares it
	typed  []named // sorted by name, as the format requires
	shared sharedData
	full   bool // see Block.Full

	texts   *Texts
	row     *enrich.Row // that is being added
	rows    int         // before it
	leftOut bool        // it lacks texts that it should have

	extPaths
	srcRefs, dstRefs []refPath // for each IP reference extension
	refOrder         []int     // indexes of these, by their names
}

// extPath is a path. Its values go into its column, or into shared data if the table does not declare it.
type extPath interface {
	column
	// declare is called once. typ is the path's type in the table, or "".
	declare(name, typ string)
}

// namedPath is a path with its name.
type namedPath struct {
	name string
	extPath
}

// newExt returns a column of the table's type. Paths that the table declares and that no row has keep their defaults.
func newExt(l *Layout) *ext {
	typ := l.extType()
	x := &ext{
		typ: typ.text, texts: l.Texts, srcRefs: make([]refPath, len(l.IPRefExtensions)),
		dstRefs: make([]refPath, len(l.IPRefExtensions)),
	}
	x.shared.skipped = typ.skipped
	x.bgpSrcCommunity.ours = true
	x.mplsVPNRD.keys.admit = func() bool {
		if !x.admits() {
			return false
		}
		x.texts.take()
		return true
	}
	columns := map[string]column{}
	for _, p := range x.list() {
		p.declare(p.name, typ.paths[p.name])
		columns[p.name] = p.extPath
	}
	for i, e := range l.IPRefExtensions {
		for _, p := range []namedPath{{"src_ip_" + e + "_ref", &x.srcRefs[i]},
			{"dst_ip_" + e + "_ref", &x.dstRefs[i]}} {
			p.declare(p.name, typ.paths[p.name])
			columns[p.name] = p.extPath
		}
	}
	for _, name := range slices.Sorted(maps.Keys(typ.paths)) {
		c, known := columns[name]
		if !known {
			c, _ = newAbsent(typ.paths[name], 0) // parseExtType has tried it
		}
		x.typed = append(x.typed, named{name, typ.paths[name], c})
	}
	// Shared data wants the paths of a row in the order of their names.
	for i := range l.IPRefExtensions {
		x.refOrder = append(x.refOrder, i)
	}
	slices.SortFunc(x.refOrder, func(a, b int) int { return strings.Compare(x.srcRefs[a].name, x.srcRefs[b].name) })
	return x
}

// admits reports whether the row may bring texts. If it may not, it lacks some.
func (x *ext) admits() bool {
	if x.texts.admit(x.row, x.rows) {
		return true
	}
	x.leftOut = true
	return false
}

// noteElements notes how many elements an array has by now.
func (x *ext) noteElements(n uint64) {
	if n >= fullElements {
		x.full = true
	}
}

// appendRefs sets a row's refs, one for each IP reference extension.
func (x *ext) appendRefs(row int, paths []refPath, refs []string) {
	for _, i := range x.refOrder {
		if i < len(refs) && refs[i] != "" {
			paths[i].set(x, row, refs[i])
		}
	}
}

// prefix appends the structure of the column (no dynamic paths; the second of the two counts is the number of paths),
// then the prefixes of the typed paths.
func (x *ext) prefix(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, objectVersion)
	dst = append(dst, 0, 0)
	for _, p := range x.typed {
		dst = p.prefix(dst)
	}
	return dst
}

func (x *ext) encode(out *output, rows int) {
	for _, p := range x.typed {
		p.encode(out, rows)
	}
	x.shared.encode(out, rows)
}

func (x *ext) reset() {
	for _, p := range x.typed {
		p.reset()
	}
	x.shared.reset()
	x.full = false
}
