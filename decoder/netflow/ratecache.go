package netflow

import "github.com/metranova/flow-collector/decoder/flow"

// A rateCache caches the announced rates of recent records, by everything that a record's rate depends on: an
// exporter's records repeat a few interfaces and samplers all the time. The zero value is empty. Its memory is
// allocated at the first use.
type rateCache struct {
	changes uint64  // the source.ratesChanged of the entries
	kinds   kindSet // of things of which rates are known, in this domain or another
	entries *[rateCacheSize]cachedRate
}

// rateCacheSize is the number of rates cached for one observation domain: 1.3 KB.
const (
	rateCacheBits = 5
	rateCacheSize = 1 << rateCacheBits
)

type cachedRate struct {
	of     rateKey
	rate   uint32
	source flow.SamplingSource
}

// A rateKey is what the announced rate of a record can depend on. Kinds for which there is no option record are 0. The
// zero value is no record's key.
type rateKey struct {
	sampler  uint64
	in, out  uint32
	vrfs     [2]uint32
	template uint16
	named    uint8 // which of them the record names, as bits; never 0
}

const (
	keyOfRecord = 1 << iota
	keyNamesSampler
	keyNamesIn
	keyNamesOut
	keyNamesIngressVRF
	keyNamesEgressVRF
)

// holds reports whether the cache can answer for the record. It cannot if the rate depends on a part of the exporter
// that the record names (IE 138, 141, 142, 301), which few exporters send.
func (c *rateCache) holds(w *raw) bool {
	const sequence = 1 // partAt(bySequence), as a bit
	return w.hasParts == 0 || w.hasParts&sequence == 0 && c.kinds&(1<<byCard|1<<byPort|1<<byPoint) == 0
}

// key returns what decides a record's rate if option records name some kinds of things.
func (c *rateCache) key(r *flow.Record, w *raw) rateKey {
	k := rateKey{named: keyOfRecord}
	if w.hasSampler {
		k.sampler = w.samplerID
		k.named |= keyNamesSampler
	}
	if c.kinds.has(byTemplate) {
		k.template = r.TemplateID
	}
	if c.kinds.has(byInterface) {
		directed := r.Sent(flow.Direction)
		if r.Sent(flow.InIf) && !(directed && r.Direction == egress) {
			k.in = r.InIf
			k.named |= keyNamesIn
		}
		if r.Sent(flow.OutIf) && !(directed && r.Direction != egress) {
			k.out = r.OutIf
			k.named |= keyNamesOut
		}
	}
	if c.kinds.has(byIngressVRF) && r.Sent(flow.IngressVRF) {
		k.vrfs[0] = r.IngressVRF
		k.named |= keyNamesIngressVRF
	}
	if c.kinds.has(byEgressVRF) && r.Sent(flow.EgressVRF) {
		k.vrfs[1] = r.EgressVRF
		k.named |= keyNamesEgressVRF
	}
	return k
}

// golden is 2^64 divided by the golden ratio. A product with it spreads numbers that are close together.
const golden = 0x9e3779b97f4a7c15

// entry returns the cache entry of a key.
func (c *rateCache) entry(k *rateKey) *cachedRate {
	hash := (uint64(k.in)<<32 | uint64(k.out)) ^ k.sampler<<8 ^ uint64(k.vrfs[0])<<16 ^ uint64(k.vrfs[1])<<48 ^
		uint64(k.template)<<20 ^ uint64(k.named)<<40
	return &c.entries[hash*golden>>(64-rateCacheBits)]
}

// prepare empties the cache if the announced rates have changed.
func (c *rateCache) prepare(s *session) {
	if c.entries != nil && c.changes == s.source.ratesChanged {
		return
	}
	if c.entries == nil {
		c.entries = new([rateCacheSize]cachedRate)
	} else {
		*c.entries = [rateCacheSize]cachedRate{}
	}
	c.changes = s.source.ratesChanged
	c.kinds = s.sampling.kinds
	for _, a := range s.others() {
		c.kinds |= a.rates.kinds
	}
}
