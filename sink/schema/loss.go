package schema

// lossTable is ours: what came from every exporter and what became of it, minute by minute, so that a dashboard can say
// how much of its picture is missing. A row is one count of one minute; package ledger says what stage, what and reason
// can be.
func lossTable(s *Settings) table {
	const text = typeText
	return table{
		name:   s.Tables.Loss,
		engine: "MergeTree",
		columns: []column{
			{name: "start_time", typ: "DateTime('UTC')", codec: "Delta, ZSTD", comment: "Start of the minute."},
			{name: "end_time", typ: "DateTime('UTC')", codec: "Delta, ZSTD", comment: "End of the minute."},
			{name: "insert_time", typ: typeMillis, defaults: "now64()", codec: "Delta, ZSTD",
				comment: flowColumn("insert_time").Comment},
			{name: "collector_id", typ: text, comment: "Which collector counted."},
			{name: "exporter", typ: text,
				comment: "The UDP source, or the sFlow agent; other: many together; empty: not known."},
			{name: "device_id", typ: text, comment: "As in data_flow."},
			{name: "flow_type", typ: text, comment: "As in data_flow."},
			{name: "protocol", typ: text, comment: "Export protocol: netflow5, netflow9, ipfix, sflow5."},
			{name: "domain", typ: "UInt32", comment: "Observation domain, source id or sub-agent of the exporter."},
			{name: "stage", typ: text,
				comment: "Where it was counted: received, upstream, kernel, filter, connection, overload, decode, " +
					"hold, " +
					"sink."},
			{name: "sink", typ: text, comment: "Which sink, for stage sink."},
			{name: "what", typ: text, comment: "What was counted; for stage sink what became of the rows."},
			{name: "reason", typ: text, comment: "Why."},
			{name: "unit", typ: text, comment: "The unit of count: such as datagrams, records or rows."},
			{name: "missing", typ: "Bool", comment: "It is missing from the tables."},
			{name: "count", typ: "UInt64", comment: "How many in the minute."},
		},
		partitionBy: s.LossPartitionBy,
		orderBy:     []string{"stage", "exporter", "protocol", "domain", "start_time"},
		ttl:         s.LossTTL,
	}
}
