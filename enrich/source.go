package enrich

import "net/netip"

// Source is what a Snapshot is built from: the newest version of every record of the metadata tables.
// An empty Ref means that the record has no row of its own; columns that refer to it are NULL.
type Source struct {
	Devices       []Device
	Interfaces    []MetaInterface
	Applications  []Application
	AS            []AS
	Organizations []Organization
	// IPs are the prefixes of meta_ip, ASBlocks the announced prefixes with their origin: the AS of an address
	// is that of the longest ASBlocks match if there is one, else that of the matched IPs record.
	IPs      []IPPrefix
	ASBlocks []ASPrefix
	// IPExtensions are the prefixes of each IP reference extension's table, for example "scireg".
	IPExtensions map[string][]IPPrefix
}

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
	Version           int64
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
	Prefix  netip.Prefix // IPv4 as IPv4, masked
	ID, Ref string       // two records with one prefix: the greater ID in byte order wins
	ASID    uint32       // 0: none
}

// ASPrefix is a prefix and the AS that originates it.
type ASPrefix struct {
	Prefix netip.Prefix
	ASID   uint32
}
