package enrich

import (
	"math"
	"math/bits"
	"slices"
	"sync/atomic"

	"github.com/metranova/flow-collector/decoder/flow"
)

// Options configure an Enricher.
type Options struct {
	Policy Policy
	// IPRefExtensions are the names of the extensions in Row.SrcExtRef and DstExtRef, in that order.
	IPRefExtensions []string
	// Routes say what the routers of exporters know of both ends.
	Routes RouteOptions
	// RPKI says what the routes to both ends are validated with.
	RPKI RPKIOptions
	// WithoutLearned ignores the names that exporters' option records give to interfaces and VRFs.
	WithoutLearned bool
}

// Enricher fills rows. Each worker has one of its own, so that its caches need no lock.
type Enricher struct {
	protocols  *protocols
	scopes     scopes
	exporters  exporterCache
	interfaces interfaceCache
	hosts      hostCache
	rds        rdCache
	snapshot   *Snapshot // the one that the caches belong to
	prefetched uint32
	known      [256]*portSet
	listed     *PortSet // nil: rows keep all ports

	withoutLearned bool

	routes      *routes    // nil: there are none
	validator   *validator // nil: routes are not validated
	pathID      []uint32
	pathPadding []uint16

	names      []string // the names of the IP reference extensions
	extensions []int    // the indexes of names in the snapshot; -1: not there

	srcExt  []string
	dstExt  []string
	unknown atomic.Pointer[[]UnknownInterfaces]
}

// New returns an enricher with empty caches.
func New(o Options) *Enricher {
	e := &Enricher{
		protocols: newProtocols(),
		scopes:    newScopes(o.Policy),
		exporters: newExporterCache(),
		hosts:     make(hostCache, hostSlots),
		rds:       rdCache{},

		withoutLearned: o.WithoutLearned,
		routes:         newRoutes(o.Routes),
		validator:      newValidator(o.RPKI),

		names:      o.IPRefExtensions,
		extensions: make([]int, len(o.IPRefExtensions)),

		srcExt: make([]string, len(o.IPRefExtensions)),
		dstExt: make([]string, len(o.IPRefExtensions)),
	}
	if e.routes != nil {
		e.routes.device = func(a flow.Addr) string { return e.snapshot.exporter(a).ref }
	}
	return e
}

// SetPolicy replaces the policy, from the next row on.
func (e *Enricher) SetPolicy(p Policy) {
	e.scopes = newScopes(p)
	e.exporters.reset()
	e.interfaces = interfaceCache{}
}

// Enrich fills row from a record and a snapshot. Slices in the row are valid until the next call.
func (e *Enricher) Enrich(s *Snapshot, r *flow.Record, row *Row) {
	if s != e.snapshot {
		e.reset(s)
	}
	row.Flow = r
	e.measure(r, row)
	x := e.device(r, row)
	row.Origin = x.origin
	sent := [2]uint32{r.SrcAS, r.DstAS}
	if e.routes != nil {
		e.routes.find(x, r)
	}
	src, dst := e.endpoints(s, r, row)
	if e.validator != nil {
		e.validate(r, row, src, dst, sent)
	}
	e.peer(s, r, row)
	e.application(r, row)
	row.MPLSBottomLabel = bottomLabel(r)
	row.MPLSLabel, row.MPLSExp = row.MPLSLabel[:0], row.MPLSExp[:0]
	if r.Sent(flow.MPLS) {
		row.MPLSLabel, row.MPLSExp = splitStack(r, row.MPLSLabel, row.MPLSExp)
	}
	row.MPLSRD = ""
	if r.MPLSRD != [8]byte{} || r.IngressVRF|r.EgressVRF != 0 {
		row.MPLSRD = e.rds.text(r)
	}
	x.scopes.set(&row.PolicyScope, row.SrcASID, row.DstASID, row.MPLSRD)
	e.path(r, row)
}

// path fills in the AS path and communities that records do not have: those of the destination's route as
// the routing table has them, else the record's path.
func (e *Enricher) path(r *flow.Record, row *Row) {
	if e.routes != nil {
		row.CommunityNames, row.PathRoute = false, nil
		e.routes.columns(r, &row.Route)
		if e.routes.fromRoute {
			d := &e.routes.dst
			row.PathRoute, row.CommunityNames = d, e.routes.CommunityNames
			_, row.ExtCommunities, row.LargeCommunities = d.Communities()
			if !e.routes.Confederations || !d.HasSegments() {
				row.ASPathID, row.ASPathPadding = d.Path()
				return
			}
			e.foldPath(e.routes.wholePath(d), row)
			return
		}
	}
	row.ExtCommunities, row.LargeCommunities = nil, nil
	if len(r.ASPath) == 0 {
		row.ASPathID, row.ASPathPadding = nil, nil
		return
	}
	e.foldPath(r.ASPath, row)
}

func (e *Enricher) foldPath(path []uint32, row *Row) {
	e.pathID, e.pathPadding = foldPath(path, e.pathID[:0], e.pathPadding[:0])
	row.ASPathID, row.ASPathPadding = e.pathID, e.pathPadding
}

// reset clears what was cached from another snapshot.
func (e *Enricher) reset(s *Snapshot) {
	e.snapshot = s
	e.exporters.reset()
	e.interfaces.slots = [interfaceSlots]interfaceSlot{}
	e.hosts.reset()
	for i, name := range e.names {
		e.extensions[i] = slices.Index(s.prefixes.extensions, name)
	}
	for n := range e.known {
		e.known[n] = s.applications.byProtocol[e.protocols.lower[n]]
	}
}

// measure fills in times, protocol and counters.
func (e *Enricher) measure(r *flow.Record, row *Row) {
	row.StartMs, row.EndMs = max(r.StartMs, 0), max(r.EndMs, 0)
	row.Protocol = e.protocols.names[r.IPProtocol]
	row.IPVersion = 4
	if r.IPVersion == 6 {
		row.IPVersion = 6
	}
	row.SrcPort, row.DstPort = r.SrcPort, r.DstPort
	if r.Protocol == flow.NetFlowV5 && r.IPProtocol != 6 && r.IPProtocol != 17 {
		// Only TCP and UDP have ports, as dashboards expect. ICMP's type and code stay in the destination port.
		row.SrcPort = 0
		if r.IPProtocol != 1 {
			row.DstPort = 0
		}
	}
	if e.listed != nil {
		row.SrcPort, row.DstPort = e.listed.only(row.SrcPort), e.listed.only(row.DstPort)
	}
	rate := uint64(r.SamplingRate)
	if rate == 0 && r.Protocol != flow.SFlow5 {
		rate = 1
	}
	row.Bits = multiply(multiply(r.Bytes, 8), rate)
	row.Packets = multiply(r.Packets, rate)
}

// multiply saturates: an overflow must not make a large counter look small.
func multiply(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	if high != 0 {
		return math.MaxUint64
	}
	return low
}

// device fills in the exporter and the flow's interfaces.
func (e *Enricher) device(r *flow.Record, row *Row) *exporterEntry {
	x := e.exporter(r.Exporter)
	row.DeviceID, row.DeviceRef = x.id, x.ref
	names := r.Names
	if e.withoutLearned {
		names = nil
	}
	row.In = *e.interfaces.of(x, r.InIf, r.InIfKind, names)
	row.Out = *e.interfaces.of(x, r.OutIf, r.OutIfKind, names)
	row.VRFName = vrfName(r, names)
	return x
}

// endpoints fills in the subnets and the AS of both ends, and returns their entries of the prefix table.
func (e *Enricher) endpoints(s *Snapshot, r *flow.Record, row *Row) (src, dst *entry) {
	n := e.hosts.entry(s.prefixes, &r.SrcAddr)
	at := &s.prefixes.list[n]
	src = at
	row.SrcIPRef, row.SrcCountry = s.prefixes.ref(at), s.prefixes.country(at)
	row.SrcASID, row.SrcASRef = e.asOf(s, at, r.SrcAS)
	if row.SrcASID == 0 && e.routes != nil {
		row.SrcASID, row.SrcASRef = e.asOf(s, at, e.routes.ownAS(e.routes.srcFound, &e.routes.src))
	}
	row.SrcExtRef = nil
	if at.as&extended != 0 {
		row.SrcExtRef = e.extensionRefs(s.prefixes, n, e.srcExt)
	}
	n = e.hosts.entry(s.prefixes, &r.DstAddr)
	at = &s.prefixes.list[n]
	row.DstIPRef, row.DstCountry = s.prefixes.ref(at), s.prefixes.country(at)
	row.DstASID, row.DstASRef = e.asOf(s, at, r.DstAS)
	if row.DstASID == 0 && e.routes != nil {
		row.DstASID, row.DstASRef = e.asOf(s, at, e.routes.ownAS(e.routes.dstFound, &e.routes.dst))
	}
	row.DstExtRef = nil
	if at.as&extended != 0 {
		row.DstExtRef = e.extensionRefs(s.prefixes, n, e.dstExt)
	}
	return src, at
}

// validate fills in what RPKI says of the routes to both ends. sent are the AS numbers of the record as it came.
func (e *Enricher) validate(r *flow.Record, row *Row, src, dst *entry, sent [2]uint32) {
	x := endpoint{addr: &r.SrcAddr, at: src, sent: sent[0], mask: r.SrcMask, as: row.SrcASID}
	if e.routes != nil {
		x.route, x.found = &e.routes.src, e.routes.srcFound
	}
	row.SrcRPKI = e.validator.of(e.routes, &x)
	x = endpoint{addr: &r.DstAddr, at: dst, sent: sent[1], mask: r.DstMask, as: row.DstASID}
	if e.routes != nil {
		x.route, x.found = &e.routes.dst, e.routes.dstFound
	}
	row.DstRPKI = e.validator.of(e.routes, &x)
}

// asOf returns the AS in the record, or the AS of the address's subnet in meta_ip if the record has none, and its ref.
func (e *Enricher) asOf(s *Snapshot, at *entry, sent uint32) (id uint32, ref string) {
	id, n := sent, uint32(0)
	switch {
	case at.ipBits != noPrefix && (sent == 0 || sent == at.asID):
		id, n = at.asID, at.as&^extended
	case sent != 0:
		n = s.as.number(sent)
	}
	return id, s.as.refs[n]
}

// extensionRefs finds the refs of the IP reference extensions for an address that has some.
func (e *Enricher) extensionRefs(p *prefixTable, n uint32, refs []string) []string {
	clear(refs)
	for i, x := range e.extensions {
		if x < 0 {
			continue
		}
		if m := p.extMatch(n, x); m.bits != noPrefix {
			refs[i] = p.extRecords[x].ref(m.record)
		}
	}
	return refs
}

// peer fills in the peer: the BGP next hop, else the address of the top MPLS label, IPv4 first. Without either all peer
// columns are NULL.
func (e *Enricher) peer(s *Snapshot, r *flow.Record, row *Row) {
	row.HasPeer, row.PeerIP, row.PeerASID, row.PeerIPRef, row.PeerASRef = false, flow.Addr{}, 0, "", ""
	bgp, top := r.Sent(flow.BGPNextHop), r.Sent(flow.MPLSTopLabelAddr)
	switch {
	case bgp && (r.BGPNextHop.Is4() || !top || !r.MPLSTopLabelAddr.Is4()):
		row.PeerIP = r.BGPNextHop
	case top:
		row.PeerIP = r.MPLSTopLabelAddr
	default:
		return
	}
	row.HasPeer = true
	at := &s.prefixes.list[e.hosts.entry(s.prefixes, &row.PeerIP)]
	row.PeerIPRef = s.prefixes.ref(at)
	row.PeerASID, row.PeerASRef = e.asOf(s, at, r.PeerDstAS)
}

// application fills in the known port; if both are known, the smaller one.
func (e *Enricher) application(r *flow.Record, row *Row) {
	row.ApplicationPort = 0
	set := e.known[r.IPProtocol]
	if set == nil {
		return
	}
	src, dst := set.has(row.SrcPort), set.has(row.DstPort)
	switch {
	case src && dst:
		row.ApplicationPort = min(row.SrcPort, row.DstPort)
	case src:
		row.ApplicationPort = row.SrcPort
	case dst:
		row.ApplicationPort = row.DstPort
	}
}

// bottomLabel returns the last label that is not 0.
func bottomLabel(r *flow.Record) uint32 {
	for i := min(int(r.MPLSCount), len(r.MPLS)) - 1; i >= 0; i-- {
		if label := r.MPLS[i] >> 4; label != 0 {
			return label
		}
	}
	return 0
}

// splitStack splits the label stack into labels and traffic classes (RFC 3032 §2.1). A template's empty label elements
// become labels of 0, as dashboards expect.
func splitStack(r *flow.Record, labels []uint32, classes []uint8) ([]uint32, []uint8) {
	n := min(int(max(r.MPLSCount, r.MPLSElements)), len(r.MPLS))
	for _, entry := range r.MPLS[:n] {
		labels, classes = append(labels, entry>>4), append(classes, uint8(entry>>1&7))
	}
	return labels, classes
}

// foldPath replaces each run of one AS by a single entry and the length of the run.
func foldPath(path, ids []uint32, padding []uint16) ([]uint32, []uint16) {
	for _, as := range path {
		if n := len(ids); n > 0 && ids[n-1] == as {
			if padding[n-1] < math.MaxUint16 {
				padding[n-1]++
			}
			continue
		}
		ids, padding = append(ids, as), append(padding, 1)
	}
	return ids, padding
}
