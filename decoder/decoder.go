// Package decoder turns datagrams into flow records: it recognizes the export protocol and passes each datagram to that
// protocol's decoder. A Decoder belongs to one worker and learns by itself what it needs to know of each exporter.
package decoder

import (
	"encoding/binary"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/netflow"
	"github.com/metranova/flow-collector/decoder/sflow"
)

// Options configure the decoders of all protocols.
type Options struct {
	MaxExporters int // about how many streams all workers together keep; 0: 4096. See exporter.NewTable
	Workers      int // how many decoders share the process's memory; 0: 1
	MaxRecords   int // flow records or samples of one datagram; 0: all that it has
	NetFlow      netflow.Options
	SFlow        sflow.Options
}

// Decoder decodes the datagrams of one worker. It is not safe for concurrent use; Exporters may be called from
// anywhere.
type Decoder struct {
	table   *exporter.Table
	netflow *netflow.Decoder
	sflow   *sflow.Decoder
}

// New returns a decoder that knows no exporter.
func New(o Options) *Decoder {
	o = o.withDefaults()
	table := exporter.NewTable(o.MaxExporters)
	return &Decoder{table: table, netflow: netflow.New(table, o.NetFlow), sflow: sflow.New(table, o.SFlow)}
}

// Decode adds a datagram's records to b and flushes b. NetFlow and IPFIX begin with a 16-bit version, sFlow with a
// 32-bit version whose upper half is 0.
func (d *Decoder) Decode(dg *exporter.Datagram, b *flow.Batch) {
	p := dg.Payload
	if len(p) < 4 {
		d.table.Unattributed(exporter.Truncated)
		return
	}
	switch binary.BigEndian.Uint16(p) {
	case 0:
		if binary.BigEndian.Uint32(p) == 5 {
			d.sflow.Decode(dg, b)
			return
		}
	case 5:
		d.netflow.DecodeV5(dg, b)
		return
	case 9:
		d.netflow.DecodeV9(dg, b)
		return
	case 10:
		d.netflow.DecodeIPFIX(dg, b)
		return
	}
	d.table.Unattributed(exporter.UnknownVersion)
}

// Tick must be called about once a second, for everything that depends on time. now is in Unix nanoseconds.
func (d *Decoder) Tick(now int64, b *flow.Batch) {
	d.netflow.Tick(now, b)
	d.table.Age(now)
}

// Discard drops data that still waits for templates, and counts it.
func (d *Decoder) Discard() {
	d.netflow.Discard()
	d.table.Publish()
}

// SetOverrides replaces the operator's sampling rates, from the next datagram on.
func (d *Decoder) SetOverrides(o exporter.Overrides) {
	d.netflow.SetOverrides(o)
	d.sflow.SetOverrides(o)
}

// Exporters returns the streams and their counters.
func (d *Decoder) Exporters() *exporter.Table { return d.table }

// NetFlow returns the decoder of NetFlow and IPFIX, for access to its templates.
func (d *Decoder) NetFlow() *netflow.Decoder { return d.netflow }
