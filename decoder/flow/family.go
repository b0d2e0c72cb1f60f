package flow

// Family returns the protocol's family as in the column flow_type: "netflow" (v5, v9 and IPFIX) or "sflow".
func (p Protocol) Family() string {
	switch p {
	case SFlow5:
		return "sflow"
	case NetFlowV5, NetFlowV9, IPFIX:
		return "netflow"
	}
	return "unknown"
}
