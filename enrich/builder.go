// Package enrich adds to a flow record what the metadata has about it. A Snapshot is an immutable copy of the metadata;
// an Enricher, one per worker, turns flow records into rows of data_flow. The package imports only the flow record.
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
	Loopbacks []netip.Addr // an exporter with one of these addresses is this device
	// insert time, in any unit. If two devices have the same loopback, the greater Version wins, then the greater ID
	Version int64
}

// MetaInterface is a record of meta_interface.
type MetaInterface struct {
	ID, Ref, DeviceID string
	FlowIndex         uint32
	HasFlowIndex      bool // false: the interface never matches
	Edge              bool
	Version           int64 // as Device.Version: the greater one wins
}

// Application is a record of meta_application.
type Application struct {
	ID, Protocol     string // the protocol's name; case does not matter
	PortMin, PortMax uint16 // inclusive; either may be the greater one
}

// AS is a record of meta_as.
type AS struct {
	ID                              uint32
	Ref, Name                       string
	OrganizationID, OrganizationRef string
}

// Organization is a record of meta_organization.
type Organization struct{ ID, Ref, Name string }

// IPPrefix is one subnet of a meta_ip record or of an IP reference extension.
type IPPrefix struct {
	Prefix  netip.Prefix // IPv4 prefixes are in IPv4 form; host bits are ignored
	ID, Ref string       // if two records have the same prefix, the greater ID in byte order wins
	ASID    uint32       // 0: none
	Country string       // of a meta_ip record: its code, else its name; "": none
}

// ASPrefix is a prefix and the AS that originates it.
type ASPrefix struct {
	Prefix netip.Prefix
	ASID   uint32
}

// Builder collects the newest version of each record and builds a Snapshot from them. Records may be added in any
// order.
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

// Grow reserves memory for a number of meta_ip subnets, which saves copying when there will be millions.
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

// AddInterface adds an interface. One without a flow index never matches.
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

// compareInterfaces orders interfaces that have the same device and index. The first one is used: edge before others,
// then the newest, then the greatest id.
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

// AddASBlock adds an announced prefix. The AS of an address is the origin of its longest announced prefix. Without one
// it is the AS of its subnet in meta_ip.
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

// Build returns the snapshot. The builder must not be used afterwards.
func (b *Builder) Build() (*Snapshot, error) {
	s := b.s
	names := slices.Sorted(maps.Keys(b.ext))
	lists := make([]*prefixList, len(names))
	for i, name := range names {
		lists[i] = b.ext[name]
	}
	s.prefixes = newPrefixTable(&b.ips, &b.origins, names, lists, s.as)
	for i, name := range names {
		s.stats.Extensions[name] = s.prefixes.extPrefixes[i]
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
	s.stats.IPs, s.stats.ASBlocks = s.prefixes.ips, s.prefixes.blocks
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
