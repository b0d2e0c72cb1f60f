package enrich

import "github.com/metranova/flow-collector/decoder/flow"

// Row is one row of data_flow: a flow record and what the snapshot says of it. Strings belong to the snapshot or
// to the Enricher that filled the row and are never copied; an empty ref or id is NULL unless said otherwise.
// Everything that data_flow takes from the record as it stands is read from Flow.
type Row struct {
	Flow *flow.Record

	DeviceID  string // never empty: the device's id, the exporter's address, or "unknown"
	DeviceRef string
	VRFName   string // as the exporter's option records name the flow's VRF; "" for none
	In, Out   Interface

	SrcASID, DstASID     uint32
	SrcASRef, DstASRef   string
	SrcIPRef, DstIPRef   string
	SrcExtRef, DstExtRef []string // refs by IP reference extension, in the order of the configuration
	HasPeer              bool     // false: all peer columns are NULL
	PeerIP               flow.Addr
	PeerASID             uint32
	PeerIPRef, PeerASRef string
	PolicyScope          []string // configured scopes first, then the automatic ones, sorted, no duplicates
	Protocol             string   // name of the IP protocol as pmacct prints it, else its decimal number
	IPVersion            uint8    // 6 or 4
	SrcPort, DstPort     uint16   // as data_flow has them: v5 keeps ports of TCP and UDP only
	ApplicationPort      uint16
	StartMs, EndMs       int64 // Unix milliseconds
	// StatedStartMs and StatedEndMs are the times that the exporter stated, where StartMs and EndMs are others because
	// those are beyond what is believed (pipeline.Settings). Both are 0 where the row has the exporter's own.
	StatedStartMs, StatedEndMs int64
	Bits, Packets              uint64 // renormalized; saturated at the largest value
	ASPathID                   []uint32
	ASPathPadding              []uint16 // how often each AS of ASPathID stands in a row
	// top first, 20 bits each; elements of a template that are empty are labels of 0
	MPLSLabel       []uint32
	MPLSExp         []uint8 // traffic classes of MPLSLabel (RFC 3032 §2.1)
	MPLSBottomLabel uint32  // the last label that is not 0; 0: none
	MPLSRD          string  // textual route distinguisher; "" for none or 0:0:0
}

// Interface is what a row says of one of its two interfaces; the zero value is "no such interface". One that only the
// exporter's option records name has an ID alone.
type Interface struct {
	ID, Ref string
	Edge    bool
}
