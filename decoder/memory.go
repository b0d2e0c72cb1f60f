package decoder

import "cmp"

// What all workers of a process together keep of exporters. Each worker has a part of its own and shares it among
// sources as package budget says. Beside that a stream costs some 6 KB, with what the page and the ledger remember of
// it.
const (
	defaultMaxExporters = 4096
	// templates and sampling rates of NetFlow and IPFIX, also of streams that were evicted
	templateBytes = 24 << 20
	nameBytes     = 16 << 20 // names of interfaces and VRFs, with the copy that is saved
	heldBytes     = 32 << 20 // data that waits for its template
	samplers      = 1 << 17  // sources of sFlow samples, some 100 bytes each

	// MaxInterfaces is how many interfaces' counters are remembered, some 400 bytes each: see enrich.Meter.
	MaxInterfaces = 1 << 16
)

// Part is one worker's of a total. An eighth is the least, so that it is of use where there are many workers.
func Part(total, workers int) int { return max(total/max(workers, 1), total/8) }

// withDefaults fills in what a worker may keep.
func (o Options) withDefaults() Options {
	limit := cmp.Or(max(o.MaxExporters, 0), defaultMaxExporters)
	// Sources are not spread evenly over the workers.
	o.MaxExporters = min(limit, 2*Part(limit, o.Workers))
	for _, b := range []struct {
		value *int
		total int
	}{
		{&o.NetFlow.TemplateBytes, templateBytes}, {&o.NetFlow.NameBytes, nameBytes}, {&o.NetFlow.HeldBytes, heldBytes},
		{&o.SFlow.Samplers, samplers},
	} {
		if *b.value <= 0 {
			*b.value = Part(b.total, o.Workers)
		}
	}
	return o
}
