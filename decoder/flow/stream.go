package flow

// StreamKey names one stream of datagrams: one that has sequence numbers of its own.
type StreamKey struct {
	Exporter Addr // the UDP source; sFlow: the agent address
	Protocol Protocol
	Domain   uint32 // as Record.Domain
}

// Stream is the stream that the record came in, as long as nobody has given the exporter another name.
func (r *Record) Stream() StreamKey {
	if r.Protocol == SFlow5 {
		return StreamKey{r.Exporter, SFlow5, r.Domain}
	}
	return StreamKey{r.Source, r.Protocol, r.Domain}
}
