package flow

// InterfaceSelf is the number of the device itself as an interface (sflow_version_5.txt, "interface"): it sent or took
// the packet. Metadata knows the device's own interface by it.
const InterfaceSelf = 0x3fffffff

// Format bits of interface numbers of compact sFlow samples (sflow_version_5.txt, "interface").
const (
	interfaceDiscarded = 1 << 30
	interfaceMultiple  = 2 << 30
)

// Number returns an interface number of this kind with its format bits, as a compact sFlow sample has it: an ifIndex is
// itself.
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
