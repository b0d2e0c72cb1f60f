package flow

// InterfaceCounters are a device's counters of one interface, as it sends them periodically (sFlow if_counters). A
// counter that the device does not have is Unsupported. Counters wrap: octets at 2^64, all others at 2^32. They restart
// when the device does.
type InterfaceCounters struct {
	Exporter, Source Addr
	SubAgent         uint32
	Received         int64  // Unix nanoseconds
	UptimeMs         uint32 // of the device; wraps
	Sequence         uint32 // of the interface's samples
	Index, Type      uint32
	Speed            uint64 // bits a second
	Direction        uint32 // 1 full duplex, 2 half duplex, 3 in, 4 out
	AdminUp, OperUp  bool
	In, Out          DirectionCounters
	Promiscuous      uint32
}

// DirectionCounters are the counters of one direction.
type DirectionCounters struct {
	Octets                             uint64
	Unicast, Multicast, Broadcast      uint64
	Discards, Errors, UnknownProtocols uint64
}

// Unsupported is the value of a counter that the device does not have.
const Unsupported = 1<<64 - 1
