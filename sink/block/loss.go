package block

// Loss is one row of collector_loss: a count for one minute.
type Loss struct {
	Start, End                                                              int64 // Unix seconds
	Exporter, DeviceID, FlowType, Protocol, Stage, Sink, What, Reason, Unit string
	Domain                                                                  uint32
	Missing                                                                 bool
	Count                                                                   uint64
}

// Losses is a block of collector_loss.
type Losses struct {
	rows    int
	columns []named

	start, end, domain                                                    fixed[uint32]
	exporter, device, flowType, protocol, stage, sink, what, reason, unit lowCardinality
	missing                                                               fixed[uint8]
	count                                                                 fixed[uint64]
}

// NewLosses returns an empty block for a collector's rows.
func NewLosses(collectorID string) *Losses {
	if collectorID == "" {
		collectorID = unknownCollector
	}
	b := &Losses{}
	const text = "LowCardinality(String)"
	b.columns = []named{
		{"start_time", "DateTime('UTC')", &b.start},
		{"end_time", "DateTime('UTC')", &b.end},
		{"collector_id", text, constant(collectorID)},
		{"exporter", text, &b.exporter},
		{"device_id", text, &b.device},
		{"flow_type", text, &b.flowType},
		{"protocol", text, &b.protocol},
		{"domain", "UInt32", &b.domain},
		{"stage", text, &b.stage},
		{"sink", text, &b.sink},
		{"what", text, &b.what},
		{"reason", text, &b.reason},
		{"unit", text, &b.unit},
		{"missing", "Bool", &b.missing},
		{"count", "UInt64", &b.count},
	}
	b.Reset()
	return b
}

// Columns is like Block.Columns.
func (b *Losses) Columns() []string { return names(b.columns) }

// Rows returns the number of rows.
func (b *Losses) Rows() int { return b.rows }

// Append adds a row.
func (b *Losses) Append(l *Loss) {
	b.start.set(b.rows, uint32(l.Start))
	b.end.set(b.rows, uint32(l.End))
	b.exporter.add(l.Exporter)
	b.device.add(l.DeviceID)
	b.flowType.add(l.FlowType)
	b.protocol.add(l.Protocol)
	b.domain.set(b.rows, l.Domain)
	b.stage.add(l.Stage)
	b.sink.add(l.Sink)
	b.what.add(l.What)
	b.reason.add(l.Reason)
	b.unit.add(l.Unit)
	b.missing.set(b.rows, oneIf(l.Missing))
	b.count.set(b.rows, l.Count)
	b.rows++
}

// Encode is like Block.Encode.
func (b *Losses) Encode(dst []byte) []byte { return appendEncoded(dst, b.columns, b.rows) }

// Reset empties the block and keeps its memory.
func (b *Losses) Reset() {
	b.rows = 0
	for _, c := range b.columns {
		c.reset()
	}
}
