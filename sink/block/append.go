package block

import (
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
)

const dayMs = 24 * 60 * 60 * 1000

// addDay notes the day of a start time. The latest days are looked at first: most rows start on the same day.
func (b *Block) addDay(startMs int64) {
	day := startMs / dayMs
	if startMs%dayMs < 0 {
		day--
	}
	for i := len(b.days) - 1; i >= 0; i-- {
		if b.days[i] == day {
			return
		}
	}
	b.days = append(b.days, day)
}

// flowType is the flow_type column.
func flowType(r *enrich.Row) string { return FlowType(r.Flow.Protocol) }

// FlowType is the family of an export protocol, as flow_type has it.
func FlowType(p flow.Protocol) string {
	switch p {
	case flow.SFlow5:
		return "sflow"
	case flow.NetFlowV5, flow.NetFlowV9, flow.IPFIX:
		return "netflow"
	}
	return "unknown"
}

func (b *Block) appendEndpoints(r *enrich.Row) {
	b.src.asID.uint32(r.SrcASID)
	b.src.asRef.add(r.SrcASRef)
	b.src.ip.addr(r.Flow.SrcAddr)
	b.src.ipRef.add(r.SrcIPRef)
	b.src.port.uint16(r.SrcPort)
	b.dst.asID.uint32(r.DstASID)
	b.dst.asRef.add(r.DstASRef)
	b.dst.ip.addr(r.Flow.DstAddr)
	b.dst.ipRef.add(r.DstIPRef)
	b.dst.port.uint16(r.DstPort)
}

func (c *interfaceColumns) add(i *enrich.Interface) {
	c.id.addNullable(i.ID)
	c.ref.addNullable(i.Ref)
	edge := uint8(0)
	if i.Edge {
		edge = 1
	}
	c.edge.uint8(edge)
}

// appendPeer leaves the columns of a row without a peer to be filled with NULL.
func (b *Block) appendPeer(r *enrich.Row) {
	if !r.HasPeer {
		return
	}
	b.peer.asID.uint32(b.rows, r.PeerASID)
	b.peer.asRef.set(b.rows, r.PeerASRef)
	b.peer.ip.addr(b.rows, r.PeerIP)
	b.peer.ipRef.set(b.rows, r.PeerIPRef)
}
