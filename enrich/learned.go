package enrich

import (
	"cmp"
	"strings"

	"github.com/metranova/flow-collector/decoder/flow"
)

// maxLearned bounds the names that are remembered of one exporter; more make it forget them and look them up anew.
const maxLearned = 1 << 12

// learnedInterface is an interface that metadata does not have, as the exporter's option records name it (IE 82, else
// IE 83).
type learnedInterface struct {
	name string // as the exporter says it
	id   string // <device id>::<name>, as ids of meta_interface are made
}

// learn returns the interface that the exporter itself names, which has an id, but no ref and no edge: these are
// metadata's to give. It allocates only for a name that it did not see before.
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

// vrfName is what the exporter's option records call the VRF that the flow belongs to (IE 236): the ingress's, unless
// that is the default one and the egress's is not. "" is for none.
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
