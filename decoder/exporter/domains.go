package exporter

// domainRuns are a source's sequence numbers over all its observation domains, for each protocol that numbers.
type domainRuns [numberedProtocols]protocolRun

type protocolRun struct {
	latest *Numbers   // of the latest datagram
	run    *domainRun // nil until a second domain sends
}

// domainRuns returns what the stream's source has for the stream's protocol; nil for a stream outside a Table.
func (s *Stream) domainRuns() *protocolRun {
	i := int(s.Key.Protocol) - 1
	if s.group == nil || i < 0 || i >= numberedProtocols {
		return nil
	}
	return &s.group.owner.domains[i]
}

// numberedProtocols are NetFlow v5, v9 and IPFIX, in the order of flow.Protocol.
const numberedProtocols = 3

// A domainRun follows the numbers of all observation domains of a source as one run. Some exporters have one counter
// for all, against RFC 3954 §5.1 and RFC 7011 §3.1: followed by domain, each datagram of another domain would be a
// loss.
type domainRun struct {
	common   numbering
	evidence int8    // below 0: one counter; above 0: one for each domain
	quiet    uint8   // datagrams since the domain changed
	strays   uint8   // consecutive datagrams of one domain that only its own run expected
	told     *Stream // the latest loss was counted in it
}

const (
	domainsDecided  = 2 // evidence for either; until then no loss that another domain may explain is reported
	domainsEvidence = 4 // bounds the evidence
	straysEnough    = 4 // strays that are evidence: so many datagrams in a row do not come late
)

// domainRun returns the run of the numbers of all domains of the stream's source, nil if there is only one domain.
// changed says that the latest datagram was of another domain.
func (q *Numbers) domainRun(s *Stream) (run *domainRun, changed bool) {
	of := s.domainRuns()
	if of == nil {
		return nil, false
	}
	changed = of.latest != nil && of.latest != q
	if changed && of.run == nil {
		of.run = &domainRun{common: of.latest.all}
		of.run.common.forget()
	}
	of.latest = q
	return of.run, changed
}

// observe takes a datagram's number. own is the run that followed the domain, and ownFits says that it, or the run of
// the domain's source port, expected the number. isNew says that the number is the domain's first.
func (r *domainRun) observe(list []way, number uint32, u Units, changed, isNew, ownFits bool, own *numbering) {
	best := r.common.best
	known, restarts := r.common.ways[best].fits >= enough, r.common.ways[best].account.restarts
	fits, misses := r.common.observe(list, number, u)
	jumped := r.common.ways[best].account.restarts > restarts
	alone := misses && own.fitsUnlike(&r.common, list)
	if !changed {
		r.quiet = min(r.quiet+1, forgetsAfter)
		if r.strays++; !alone {
			r.strays = 0
		}
		if r.strays >= straysEnough {
			r.strays = 0
			r.evidence = min(r.evidence+1, domainsEvidence)
		}
		return
	}
	r.quiet, r.strays = 0, 0
	switch {
	case fits && !ownFits:
		r.evidence = max(r.evidence-1, -domainsEvidence)
	case alone, known && misses && (isNew || jumped):
		r.evidence = min(r.evidence+1, domainsEvidence)
	}
}

func (r *domainRun) together() bool { return r.evidence <= -domainsDecided }

func (r *domainRun) apart() bool { return r.evidence >= domainsDecided }

// tell adds to the stream what the common run shows. A loss that a late datagram corrects may be in another stream.
func (r *domainRun) tell(list []way, s *Stream) {
	from := r.told
	if from == nil || from.gone {
		from = s
	}
	before := s.Lost.Load()
	r.common.tell(list, s, from)
	if s.Lost.Load() > before {
		r.told = s
	}
}
