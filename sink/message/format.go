package message

import "fmt"

// Format is the encoding of a message.
type Format uint8

// The formats. PmacctJSON is what nfacctd and sfacctd send to Kafka, with every key that the reference stack's pipeline
// reads: a JSON object of the record as the exporter sent it, with counters multiplied by the sampling rate and without
// enrichment. JSON is the enriched row in the form of ClickHouse's JSONEachRow for data_flow. Protobuf is the enriched
// row as message Flow of flow.proto.
const (
	PmacctJSON Format = iota
	JSON
	Protobuf
)

// String returns the format's name in the configuration.
func (f Format) String() string {
	switch f {
	case PmacctJSON:
		return "pmacct-json"
	case JSON:
		return "json"
	case Protobuf:
		return "protobuf"
	}
	return fmt.Sprintf("Format(%d)", uint8(f))
}

// ParseFormat returns the format of that name.
func ParseFormat(name string) (Format, error) {
	for _, f := range []Format{PmacctJSON, JSON, Protobuf} {
		if name == f.String() {
			return f, nil
		}
	}
	return 0, fmt.Errorf("message format %q is none of pmacct-json, json, protobuf", name)
}

// Key is the kind of a message's key. A bus keeps messages with equal keys in one partition, and thereby in order.
type Key uint8

// The keys. ExporterKey is the exporter's address as text ("192.0.2.1", RFC 5952 for IPv6), or "unknown". FlowKey is 16
// hexadecimal digits: the XXH64 hash (seed 0) of 37 bytes. These are address and port of the lesser end, then of the
// greater end (16 bytes, IPv4-mapped, and 2 bytes, big-endian; compared byte by byte), then the IP protocol number.
// Both directions of a conversation have the same key, from whichever exporter.
const (
	NoKey Key = iota
	ExporterKey
	FlowKey
)

// String returns the key's name in the configuration.
func (k Key) String() string {
	switch k {
	case NoKey:
		return "none"
	case ExporterKey:
		return "exporter"
	case FlowKey:
		return "flow"
	}
	return fmt.Sprintf("Key(%d)", uint8(k))
}

// ParseKey returns the key of that name.
func ParseKey(name string) (Key, error) {
	for _, k := range []Key{NoKey, ExporterKey, FlowKey} {
		if name == k.String() {
			return k, nil
		}
	}
	return 0, fmt.Errorf("message key %q is none of none, exporter, flow", name)
}
