package flow

// StreamKey identifies a stream of datagrams with sequence numbers of its own.
type StreamKey struct {
	Exporter Addr // the UDP source; sFlow: the agent address
	Protocol Protocol
	Domain   uint32 // as Record.Domain
}

// Stream returns the key of the record's stream. It is only right as long as Exporter has not been replaced by an
// address that the exporter states.
func (r *Record) Stream() StreamKey {
	if r.Protocol == SFlow5 {
		return StreamKey{r.Exporter, SFlow5, r.Domain}
	}
	return StreamKey{r.Source, r.Protocol, r.Domain}
}
