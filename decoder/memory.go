package decoder

import "cmp"

// Limits on what all workers of a process together remember of exporters. Each worker has a part and shares it among
// sources by the rules of package budget. A stream costs some 6 KB in addition, including the page and the ledger.
const (
	defaultMaxExporters = 4096
	// templates and sampling rates of NetFlow and IPFIX, including those of evicted streams
	templateBytes = 24 << 20
	nameBytes     = 8 << 20  // names of interfaces and VRFs, including the copy that is saved
	totalsBytes   = 16 << 20 // totals of flows that are sent again (IE 85, 86)
	heldBytes     = 16 << 20 // data that waits for its template
	samplers      = 1 << 17  // sources of sFlow samples, some 100 bytes each

	// MaxInterfaces is the number of interfaces whose counters are remembered, some 400 bytes each: see enrich.Meter.
	MaxInterfaces = 1 << 16
)

// Limits on one datagram where Options.MaxRecords is set.
const (
	// jumboFrame is the largest datagram that agents of sFlow send, in bytes: the MTU of jumbo frames.
	jumboFrame = 9216
	// maxNumbers is the number of AS numbers and communities in all samples. A route has some 5 and 10, and a sample
	// with a frame's header takes more than 200 bytes.
	maxNumbers = 1024
)

// Part returns one worker's part of a total. It is at least an eighth, so that it is useful even with many workers.
func Part(total, workers int) int { return max(total/max(workers, 1), total/8) }

// withDefaults fills in a worker's limits.
func (o Options) withDefaults() Options {
	limit := cmp.Or(max(o.MaxExporters, 0), defaultMaxExporters)
	// Twice the part, because sources are not spread evenly over the workers.
	o.MaxExporters = min(limit, 2*Part(limit, o.Workers))
	for _, b := range []struct {
		value *int
		total int
	}{
		{&o.NetFlow.TemplateBytes, templateBytes}, {&o.NetFlow.NameBytes, nameBytes},
		{&o.NetFlow.TotalsBytes, totalsBytes}, {&o.NetFlow.HeldBytes, heldBytes},
		{&o.SFlow.Samplers, samplers},
	} {
		if *b.value <= 0 {
			*b.value = Part(b.total, o.Workers)
		}
	}
	if o.MaxRecords > 0 {
		o.NetFlow.MaxRecords, o.SFlow.MaxSamples = o.MaxRecords, o.MaxRecords
		o.SFlow.MaxBytes, o.SFlow.MaxNumbers = jumboFrame, maxNumbers
	}
	return o
}
