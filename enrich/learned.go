package enrich

import (
	"cmp"
	"strings"

	"github.com/metranova/flow-collector/decoder/flow"
)

// maxLearned bounds the names that are remembered for one exporter. When it is exceeded, they are forgotten and looked
// up again.
const maxLearned = 1 << 12

// learnedInterface is an interface that is not in metadata, as the exporter's option records name it (IE 82, else IE
// 83).
type learnedInterface struct {
	name string // as the exporter sent it
	id   string // <device id>::<name>, the same form as ids of meta_interface
}

// learn returns the interface that the exporter names itself. It has an id, but no ref and no edge, which only metadata
// can give. It allocates only for a name that it has not seen before.
func (x *exporterEntry) learn(index uint32, names *flow.Names) Interface {
	told := names.Interface[index]
	name := cmp.Or(told.Name, told.Description)
	if name == "" {
		return Interface{}
	}
	known, found := x.learned[index]
	if !found || known.name != name {
		if len(x.learned) >= maxLearned {
			clear(x.learned)
		}
		if x.learned == nil {
			x.learned = map[uint32]learnedInterface{}
		}
		known = learnedInterface{name, x.id + "::" + strings.ToValidUTF8(name, "\ufffd")}
		x.learned[index] = known
		if x.unknown.name(index, name) {
			*x.fresh = true
		}
	}
	return Interface{ID: known.id}
}

// vrfName returns the name that the exporter's option records give to the flow's VRF (IE 236). It is the ingress VRF's,
// unless that is the default VRF and the egress VRF is not. "": no name.
func vrfName(r *flow.Record, names *flow.Names) string {
	if names == nil || r.Has&(flow.IngressVRF|flow.EgressVRF) == 0 {
		return ""
	}
	in, out := "", ""
	if r.Sent(flow.IngressVRF) {
		in = names.VRF[r.IngressVRF]
	}
	if r.Sent(flow.EgressVRF) {
		out = names.VRF[r.EgressVRF]
	}
	if (in == "" || in == "default") && out != "" {
		return out
	}
	return in
}
