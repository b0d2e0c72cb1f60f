package flow

// InterfaceSelf is the interface number of the device itself (sflow_version_5.txt, "interface"): it sent or received
// the packet. Metadata has the device's own interface under this number.
const InterfaceSelf = 0x3fffffff

// Format bits of interface numbers of compact sFlow samples (sflow_version_5.txt, "interface").
const (
	interfaceDiscarded = 1 << 30
	interfaceMultiple  = 2 << 30
)

// Number returns an interface number with the format bits of its kind, as in a compact sFlow sample. An ifIndex has
// none.
func (k InterfaceKind) Number(n uint32) uint32 {
	switch k {
	case InterfaceInternal:
		return InterfaceSelf
	case InterfaceDiscarded:
		return interfaceDiscarded | n&InterfaceSelf
	case InterfaceMultiple:
		return interfaceMultiple | n&InterfaceSelf
	}
	return n
}
