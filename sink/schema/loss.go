package schema

// lossTable is ours: what came from every exporter and what became of it, minute by minute, so that a dashboard can say how much
// of its picture is missing. A row is one count of one minute; package ledger says what stage, what and reason can be.
func lossTable(s *Settings) table {
	const text = "LowCardinality(String)"
	return table{
		name:   s.Tables.Loss,
		engine: "MergeTree",
		columns: []column{
			{name: "start_time", typ: "DateTime('UTC')", codec: "Delta, ZSTD"},
			{name: "end_time", typ: "DateTime('UTC')", codec: "Delta, ZSTD"},
			{name: "insert_time", typ: "DateTime64(3, 'UTC')", defaults: "now64()", codec: "Delta, ZSTD"},
			{name: "collector_id", typ: text},
			{name: "exporter", typ: text},  // the UDP source, or the sFlow agent; "other"; "" where it is not known
			{name: "device_id", typ: text}, // as in data_flow
			{name: "flow_type", typ: text}, // as in data_flow
			{name: "protocol", typ: text},  // of the export
			{name: "domain", typ: "UInt32"},
			{name: "stage", typ: text},
			{name: "sink", typ: text},
			{name: "what", typ: text},
			{name: "reason", typ: text},
			{name: "unit", typ: text},
			{name: "missing", typ: "Bool"}, // from the tables
			{name: "count", typ: "UInt64"},
		},
		partitionBy: s.LossPartitionBy,
		orderBy:     []string{"stage", "exporter", "protocol", "domain", "start_time"},
		ttl:         s.LossTTL,
	}
}
