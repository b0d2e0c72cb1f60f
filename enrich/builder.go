// Package enrich says what is known of a flow beyond its record: an immutable Snapshot of the metadata, and an Enricher
// per worker that turns a flow record into a row of data_flow. It imports only the flow record.
package enrich

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Device is a record of meta_device.
type Device struct {
	ID, Ref   string
	Loopbacks []netip.Addr // any of these as the exporter's address is this device
	Version   int64        // insert time in any unit; the greater wins a shared loopback, then the greater ID
}

// MetaInterface is a record of meta_interface.
type MetaInterface struct {
	ID, Ref, DeviceID string
	FlowIndex         uint32
	HasFlowIndex      bool // false: never matches
	Edge              bool
	Version           int64 // as Device.Version
}

// Application is a record of meta_application.
type Application struct {
	ID, Protocol     string // the protocol's name is compared in lower case
	PortMin, PortMax uint16 // inclusive, in either order
}

// AS is a record of meta_as.
type AS struct {
	ID                              uint32
	Ref, Name                       string
	OrganizationID, OrganizationRef string
}

// Organization is a record of meta_organization.
type Organization struct{ ID, Ref, Name string }

// IPPrefix is one subnet of a record of meta_ip or of an IP reference extension.
type IPPrefix struct {
	Prefix  netip.Prefix // IPv4 as IPv4; host bits are ignored
	ID, Ref string       // two records with one prefix: the greater ID in byte order wins
	ASID    uint32       // 0: none
}

// ASPrefix is a prefix and the AS that originates it.
type ASPrefix struct {
	Prefix netip.Prefix
	ASID   uint32
}

// Builder collects the newest version of every record and makes a Snapshot of them. Records may come in any order.
type Builder struct {
	s       *Snapshot
	ips     prefixList
	origins prefixList
	ext     map[string]*prefixList
	devices map[netip.Addr]Device
	version map[interfaceKey]MetaInterface
}

// NewBuilder returns a builder without records.
func NewBuilder() *Builder {
	return &Builder{
		s:       newSnapshot(),
		ext:     map[string]*prefixList{},
		devices: map[netip.Addr]Device{},
		version: map[interfaceKey]MetaInterface{},
	}
}

// Grow makes room for that many subnets of meta_ip, which saves copying when there will be millions.
func (b *Builder) Grow(subnets int) {
	b.ips.subnets = slices.Grow(b.ips.subnets, subnets)
	b.ips.list = slices.Grow(b.ips.list, subnets)
}

// AddDevice adds a device under each of its loopback addresses.
func (b *Builder) AddDevice(d Device) {
	b.s.stats.Devices++
	for _, a := range d.Loopbacks {
		a = a.Unmap().WithZone("")
		if other, found := b.devices[a]; found &&
			cmp.Or(cmp.Compare(other.Version, d.Version), cmp.Compare(other.ID, d.ID)) > 0 {
			continue
		}
		b.devices[a] = d
	}
}

// AddInterface adds an interface; one without a flow index never matches.
func (b *Builder) AddInterface(i MetaInterface) {
	b.s.stats.Interfaces++
	if !i.HasFlowIndex {
		return
	}
	key := interfaceKey{i.DeviceID, i.FlowIndex}
	other, found := b.version[key]
	if found && compareInterfaces(&other, &i) > 0 {
		return
	}
	b.version[key] = i
}

// compareInterfaces orders interfaces that share a device and an index: an edge is looked up first, then the newest,
// then the greatest id.
func compareInterfaces(a, b *MetaInterface) int {
	edge := func(i *MetaInterface) int {
		if i.Edge {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(edge(a), edge(b)), cmp.Compare(a.Version, b.Version), cmp.Compare(a.ID, b.ID))
}

// AddApplication adds a range of ports.
func (b *Builder) AddApplication(a Application) {
	b.s.stats.Applications++
	low, high := min(a.PortMin, a.PortMax), max(a.PortMin, a.PortMax)
	b.s.applications.add(strings.ToLower(a.Protocol), low, high)
	b.s.ranges = append(b.s.ranges, Application{ID: a.ID, Protocol: strings.ToLower(a.Protocol), PortMin: low,
		PortMax: high})
}

// AddAS adds an AS number.
func (b *Builder) AddAS(a AS) {
	b.s.as.add(a)
}

// AddOrganization adds an organization.
func (b *Builder) AddOrganization(o Organization) { b.s.organizations[o.ID] = o }

// AddIP adds a subnet of meta_ip.
func (b *Builder) AddIP(p IPPrefix) { b.ips.add(p) }

// AddASBlock adds an announced prefix. Where an address has one, its origin is the address's AS; otherwise it is the AS
// of the subnet of meta_ip that the address is in.
func (b *Builder) AddASBlock(p ASPrefix) { b.origins.add(IPPrefix{Prefix: p.Prefix, ASID: p.ASID}) }

// AddIPExtension adds a subnet of an IP reference extension, for example "scireg".
func (b *Builder) AddIPExtension(name string, p IPPrefix) {
	e := b.ext[name]
	if e == nil {
		e = &prefixList{}
		b.ext[name] = e
	}
	e.add(p)
}

// Build returns the snapshot. The builder must not be used any more.
func (b *Builder) Build() (*Snapshot, error) {
	s := b.s
	names := slices.Sorted(maps.Keys(b.ext))
	lists := make([]*prefixList, len(names))
	for i, name := range names {
		lists[i] = b.ext[name]
	}
	s.places = newPlaces(&b.ips, &b.origins, names, lists, s.as)
	for i, name := range names {
		s.stats.Extensions[name] = s.places.extPrefixes[i]
	}
	for a, d := range b.devices {
		s.devices[a] = DeviceMatch{ID: d.ID, Ref: d.Ref}
	}
	for key, i := range b.version {
		byIndex := s.interfaces[key.device]
		if byIndex == nil {
			byIndex = map[uint32]Interface{}
			s.interfaces[key.device] = byIndex
		}
		byIndex[key.index] = Interface{ID: i.ID, Ref: i.Ref, Edge: i.Edge}
	}
	slices.SortFunc(s.ranges, func(a, b Application) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.PortMin, b.PortMin),
			cmp.Compare(b.PortMax, a.PortMax), cmp.Compare(a.ID, b.ID))
	})
	s.stats.AS, s.stats.Organizations = s.as.size(), len(s.organizations)
	s.stats.IPs, s.stats.ASBlocks = s.places.ips, s.places.blocks
	*b = Builder{}
	return s, nil
}

// normalize unmaps an IPv4-mapped prefix and clears host bits.
func normalize(p netip.Prefix) netip.Prefix {
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked()
}
