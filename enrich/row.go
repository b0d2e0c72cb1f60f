package enrich

import (
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich/rib"
	"github.com/metranova/flow-collector/enrich/rpki"
)

// Row is one row of data_flow: a flow record and what the snapshot adds to it. Strings belong to the snapshot or to the
// Enricher that filled the row and are never copied. An empty ref or id is NULL unless said otherwise. Columns that
// need no enrichment are read from Flow.
type Row struct {
	Flow   *flow.Record
	Origin *Origin // nil: the collector's own

	DeviceID  string // never empty: the device's id, else the exporter's address, else "unknown"
	DeviceRef string
	VRFName   string // the VRF's name in the exporter's option records; "": none
	In, Out   Interface

	SrcASID, DstASID     uint32
	SrcASRef, DstASRef   string
	SrcIPRef, DstIPRef   string
	SrcCountry           string // of the meta_ip record; empty is not known
	DstCountry           string
	SrcExtRef, DstExtRef []string // refs, one for each IP reference extension, in configured order; nil: none has any
	HasPeer              bool     // false: all peer columns are NULL
	PeerIP               flow.Addr
	PeerASID             uint32
	PeerIPRef, PeerASRef string
	PolicyScope          Scopes
	Protocol             string // the IP protocol's name as pmacct prints it, else its number
	IPVersion            uint8  // 4 or 6
	SrcPort, DstPort     uint16 // as data_flow has them: NetFlow v5 keeps ports of TCP and UDP only
	ApplicationPort      uint16
	StartMs, EndMs       int64 // Unix milliseconds
	// StatedStartMs and StatedEndMs are the times that the exporter sent, if StartMs and EndMs were replaced because
	// they were too far off (pipeline.Settings). Otherwise both are 0.
	StatedStartMs, StatedEndMs int64
	Bits, Packets              uint64        // multiplied by the sampling rate; saturated
	ExtCommunities             []uint64      // of the destination's route (RFC 4360)
	LargeCommunities           []route.Large // of the destination's route (RFC 8092)
	CommunityNames             bool          // well-known communities are written by their names
	SrcRPKI, DstRPKI           rpki.State
	Route                      RouteColumns
	PathRoute                  *rib.Route // whose path and communities the row has, valid until End; nil: the record's
	ASPathID                   []uint32
	ASPathPadding              []uint16 // for each AS of ASPathID, how often it is repeated
	// top first, 20 bits each; a template's empty label elements are labels of 0
	MPLSLabel       []uint32
	MPLSExp         []uint8 // the traffic class of each label (RFC 3032 §2.1)
	MPLSBottomLabel uint32  // the last label that is not 0; 0: none
	MPLSRD          string  // route distinguisher as text; "" for none and for 0:0:0
}

// Interface holds the columns of one of a row's two interfaces. The zero value is "no such interface". An interface
// that only the exporter's option records name has just an ID.
type Interface struct {
	ID, Ref string
	Edge    bool
}
