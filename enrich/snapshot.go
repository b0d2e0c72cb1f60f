package enrich

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// Snapshot is the metadata at one moment. It is immutable, so that all workers may read it; a newer one replaces it as
// a whole. The zero value is not usable: NewBuilder().Build() returns an empty one.
type Snapshot struct {
	_ [0]sync.Mutex // go vet reports copies

	devices       map[netip.Addr]DeviceMatch
	interfaces    map[string]map[uint32]Interface // by device id, then index
	applications  ports
	ranges        []Application // by protocol, then first port
	as            *asList
	organizations map[string]Organization
	prefixes      *prefixTable
	stats         Stats
}

// DeviceMatch is the device of an exporter.
type DeviceMatch struct{ ID, Ref string }

type interfaceKey struct {
	device string
	index  uint32
}

// Stats are the numbers of records and prefixes in a snapshot. Logs have them as JSON.
type Stats struct {
	Devices       int            `json:"devices"`
	Interfaces    int            `json:"interfaces"`
	Applications  int            `json:"applications"`
	AS            int            `json:"AS"`
	Organizations int            `json:"organizations"`
	IPs           int            `json:"prefixes"`
	ASBlocks      int            `json:"AS prefixes,omitempty"` // those that only give an AS
	Extensions    map[string]int `json:"extensions,omitempty"`  // prefixes, by extension
}

func newSnapshot() *Snapshot {
	return &Snapshot{
		devices:       map[netip.Addr]DeviceMatch{},
		interfaces:    map[string]map[uint32]Interface{},
		as:            newASList(),
		organizations: map[string]Organization{},
		stats:         Stats{Extensions: map[string]int{}},
	}
}

// Stats returns how much the snapshot holds.
func (s *Snapshot) Stats() Stats { return s.stats }

// IPMatch is the subnet that an address is in.
type IPMatch struct {
	Prefix netip.Prefix
	Ref    string
	ASID   uint32 // 0: the record has none
	// Country is the code of the record's country, or its name if it has no code; "": it has none.
	Country string
}

// LookupIP returns the longest subnet of meta_ip that contains an address.
func (s *Snapshot) LookupIP(a netip.Addr) (IPMatch, bool) {
	a = a.Unmap().WithZone("")
	_, at := s.prefixes.at(a)
	if at.ipBits == noPrefix {
		return IPMatch{}, false
	}
	as := at.asID
	if at.refLength > 0 { // without a ref the entry does not say which record it belongs to
		as = s.prefixes.records.at(at.ref).asID
	}
	return IPMatch{around(a, at.ipBits), s.prefixes.ref(at), as, s.prefixes.country(at)}, true
}

// LookupExtension returns the longest subnet of an IP reference extension that contains an address.
func (s *Snapshot) LookupExtension(name string, a netip.Addr) (IPMatch, bool) {
	a = a.Unmap().WithZone("")
	n := s.prefixes.find(a)
	i := slices.Index(s.prefixes.extensions, name)
	if i < 0 {
		return IPMatch{}, false
	}
	m := s.prefixes.extMatch(n, i)
	if m.bits == noPrefix {
		return IPMatch{}, false
	}
	return IPMatch{Prefix: around(a, m.bits), Ref: s.prefixes.extRecords[i].ref(m.record),
		ASID: s.prefixes.extRecords[i].list[m.record].asID}, true
}

// LookupASBlock returns the longest announced prefix that contains an address, and its origin.
func (s *Snapshot) LookupASBlock(a netip.Addr) (netip.Prefix, uint32, bool) {
	a = a.Unmap().WithZone("")
	_, at := s.prefixes.at(a)
	if at.originBits == noPrefix {
		return netip.Prefix{}, 0, false
	}
	return around(a, at.originBits), at.asID, true
}

// around returns the prefix of a length that contains an address.
func around(a netip.Addr, bits uint8) netip.Prefix { return netip.PrefixFrom(a, int(bits)).Masked() }

// LookupAS returns the record of an AS number.
func (s *Snapshot) LookupAS(id uint32) (AS, bool) {
	n := s.as.number(id)
	return s.as.all[n], n != 0
}

// LookupOrganization returns an organization's record.
func (s *Snapshot) LookupOrganization(id string) (Organization, bool) {
	o, found := s.organizations[id]
	return o, found
}

// LookupDevice returns the device with an exporter's address.
func (s *Snapshot) LookupDevice(a netip.Addr) (DeviceMatch, bool) {
	d, found := s.devices[a.Unmap().WithZone("")]
	return d, found
}

// LookupInterface returns a device's interface with an index; of several, the edge interface.
func (s *Snapshot) LookupInterface(device string, index uint32) (Interface, bool) {
	i, found := s.interfaces[device][index]
	return i, found
}

// LookupApplications returns the port ranges that contain a port, narrowest first. The protocol's case does not matter.
func (s *Snapshot) LookupApplications(protocol string, port uint16) []Application {
	protocol = strings.ToLower(protocol)
	var all []Application
	for _, r := range s.ranges {
		if r.Protocol == protocol && r.PortMin <= port && port <= r.PortMax {
			all = append(all, r)
		}
	}
	slices.SortStableFunc(all,
		func(a, b Application) int { return cmp.Compare(a.PortMax-a.PortMin, b.PortMax-b.PortMin) })
	return all
}

// ports holds the known ports: for each protocol name a set over all 65536.
type ports struct{ byProtocol map[string]*portSet }

type portSet [1 << 16 / 64]uint64

func (p *ports) add(protocol string, low, high uint16) {
	if p.byProtocol == nil {
		p.byProtocol = map[string]*portSet{}
	}
	set := p.byProtocol[protocol]
	if set == nil {
		set = new(portSet)
		p.byProtocol[protocol] = set
	}
	for port := uint32(low); port <= uint32(high); port++ {
		set[port/64] |= 1 << (port % 64)
	}
}

func (s *portSet) has(port uint16) bool { return s[port/64]&(1<<(port%64)) != 0 }
