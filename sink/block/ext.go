package block

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"github.com/metranova/flow-collector/sink/schema"
)

// objectVersion is the format version of a JSON column (ClickHouse, SerializationObject): V1, which every server since
// 24.8 can read.
const objectVersion = 0

// ext is the ext column, of a JSON type. Paths that the table declares are columns of their own. All others go into the
// column's shared data, with the types that ClickHouse would infer from JSON text.
type ext struct {
	typed  []named // sorted by name, as the format requires
	shared sharedData
	full   bool // see Block.Full

	extPaths
	srcRefs, dstRefs []nullableString // for each IP reference extension
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

func newExt(extensions, ipRefExtensions []string) *ext {
	x := &ext{
		srcRefs: make([]nullableString, len(ipRefExtensions)),
		dstRefs: make([]nullableString, len(ipRefExtensions)),
	}
	columns := map[string]column{}
	types := schema.FlowExtPaths(extensions, ipRefExtensions)
	for _, p := range x.list() {
		p.declare(p.name, types[p.name])
		columns[p.name] = p.extPath
	}
	for i, e := range ipRefExtensions {
		columns["src_ip_"+e+"_ref"] = &x.srcRefs[i]
		columns["dst_ip_"+e+"_ref"] = &x.dstRefs[i]
	}
	for _, name := range slices.Sorted(maps.Keys(types)) {
		x.typed = append(x.typed, named{name, types[name], columns[name]})
	}
	return x
}

// typeName returns the column's type as the table declares it.
func (x *ext) typeName() string {
	if len(x.typed) == 0 {
		return "JSON"
	}
	paths := make([]string, len(x.typed))
	for i, p := range x.typed {
		paths[i] = p.name + " " + p.typ
	}
	return "JSON(" + strings.Join(paths, ", ") + ")"
}

// noteElements notes how many elements an array has by now.
func (x *ext) noteElements(n uint64) {
	if n >= fullElements {
		x.full = true
	}
}

// appendRefs sets a row's refs, one for each IP reference extension.
func (x *ext) appendRefs(row int, columns []nullableString, refs []string) {
	for i := range min(len(columns), len(refs)) {
		columns[i].set(row, refs[i])
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
