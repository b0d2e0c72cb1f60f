// Package stages runs the collector's pipeline, or the first part of it, with nothing behind it: what is measured is
// the way of a record, not what a database does with it.
package stages

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/metranova/flow-collector/collector/pipeline"
	"github.com/metranova/flow-collector/decoder"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/netflow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/block"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/message"
	"github.com/metranova/flow-collector/sink/native"
)

// Stage says how far records go before they are dropped.
type Stage uint8

// The stages. Each includes those before it, but messages are made of enriched rows, in place of blocks.
const (
	Decode     Stage = iota
	Enrich           // a row of every record
	Append           // rows in the columns of a block
	Encode           // blocks in ClickHouse's Native format: the collector's whole pipeline
	PmacctJSON       // messages as nfacctd sends them to Kafka
	JSON             // messages as ClickHouse's JSONEachRow takes them
	Protobuf
)

// ParseStage returns the stage of that name.
func ParseStage(name string) (Stage, error) {
	for s := Decode; s <= Protobuf; s++ {
		if s.String() == name {
			return s, nil
		}
	}
	return 0, fmt.Errorf("stage %q: decode, enrich, append, encode, pmacct-json, json or protobuf", name)
}

// String returns the stage's name.
func (s Stage) String() string {
	return [...]string{"decode", "enrich", "append", "encode", "pmacct-json", "json", "protobuf"}[s]
}

// blockRows is the collector's default of batch.rows.
const blockRows = 50_000

// Chain is one worker that takes datagrams as far as its stage. It belongs to one goroutine; Records may be called
// anywhere.
type Chain struct {
	stage    Stage
	snapshot *atomic.Pointer[enrich.Snapshot]
	decoder  *decoder.Decoder
	enricher *enrich.Enricher
	worker   *pipeline.Worker // of Encode
	block    *block.Block
	encoder  *message.Encoder
	messages message.Batch
	batch    *flow.Batch
	row      enrich.Row
	memory   native.Packed
	records  atomic.Uint64
	bytes    uint64 // of blocks and messages
}

// NewChain returns a worker with the collector's defaults, without routes.
func NewChain(stage Stage, snapshot *atomic.Pointer[enrich.Snapshot]) *Chain {
	return NewRoutedChain(stage, snapshot, enrich.RouteOptions{})
}

// NewRoutedChain is NewChain with routes.
func NewRoutedChain(stage Stage, snapshot *atomic.Pointer[enrich.Snapshot], routes enrich.RouteOptions) *Chain {
	c := &Chain{
		stage: stage, snapshot: snapshot, decoder: decoder.New(decoder.Options{
			MaxRecords: 128,
			NetFlow:    netflow.Options{FlowsOnly: true},
		}),
		enricher: enrich.New(enrich.Options{Routes: routes}),
		block:    block.New(layout()),
	}
	c.enricher.SetPolicy(policy())
	switch stage {
	case PmacctJSON:
		c.encoder = message.NewEncoder(message.PmacctJSON, message.NoKey, message.Layout{CollectorID: "bench"})
	case JSON:
		c.encoder = message.NewEncoder(message.JSON, message.NoKey, message.Layout{CollectorID: "bench"})
	case Protobuf:
		c.encoder = message.NewEncoder(message.Protobuf, message.NoKey, message.Layout{CollectorID: "bench"})
	case Encode:
		c.worker = c.newWorker()
	}
	c.batch = flow.NewBatch(c.receive)
	return c
}

// layout is the collector's default.
func layout() block.Layout {
	return block.Layout{CollectorID: "bench", Extensions: []string{"bgp", "ipv4", "ipv6", "mpls", "vlan"}}
}

// policy is the collector's default.
func policy() enrich.Policy { return enrich.Policy{AutoScopes: true} }

// newWorker is the worker of `collector run`, whose blocks are dropped.
func (c *Chain) newWorker() *pipeline.Worker {
	settings := new(atomic.Pointer[pipeline.Settings])
	settings.Store(&pipeline.Settings{Policy: policy()})
	return pipeline.NewWorker(pipeline.Options{
		Decoder: c.decoder, Enricher: c.enricher, Snapshot: c.snapshot, Settings: settings,
		Sinks: []sink.Batcher{clickhouse.NewBlocks(clickhouse.BlocksOptions{
			Database: "default", Table: "data_flow", Layout: layout(), MaxRows: blockRows, MaxAge: time.Second,
			TokenPrefix: "bench", Buffer: func() native.Packed { return c.memory },
			Deliver: func(ins *clickhouse.Insert) {
				c.memory = native.Packed{Data: ins.Data, Fills: ins.Fills}
				c.bytes += uint64(c.memory.Size())
			},
		})},
	})
}

// Process takes datagrams as far as the stage says. Their memory is free again when it returns.
func (c *Chain) Process(datagrams []exporter.Datagram, now time.Time) {
	if c.worker != nil {
		c.worker.Process(datagrams, now)
		return
	}
	for i := range datagrams {
		c.decoder.Decode(&datagrams[i], c.batch)
	}
}

// Tick does what time alone brings, about once a second.
func (c *Chain) Tick(now time.Time) {
	if c.worker != nil {
		c.worker.Tick(now)
		return
	}
	c.decoder.Tick(now.UnixNano(), c.batch)
}

// receive takes decoded records.
func (c *Chain) receive(records []flow.Record) {
	c.records.Add(uint64(len(records)))
	if c.stage == Decode {
		return
	}
	snapshot := c.snapshot.Load()
	c.enricher.Begin()
	defer c.enricher.End()
	c.enricher.Prefetch(snapshot, records)
	for i := range records {
		c.enricher.Enrich(snapshot, &records[i], &c.row)
		switch {
		case c.encoder != nil:
			c.encoder.Append(&c.messages, &c.row)
		case c.stage == Append:
			c.block.Append(&c.row)
			if c.block.Rows() == blockRows {
				c.block.Reset()
			}
		}
	}
	if c.encoder != nil && c.messages.Len() >= messageBatch {
		c.bytes += uint64(len(c.messages.Data))
		c.messages.Reset()
	}
}

// messageBatch is how many messages are made before they are dropped.
const messageBatch = 1000

// Records returns how many flow records were taken so far.
func (c *Chain) Records() uint64 {
	if c.worker != nil {
		return c.worker.Rows()
	}
	return c.records.Load()
}

// Bytes returns how many bytes of blocks or messages were made. For the worker's goroutine only.
func (c *Chain) Bytes() uint64 { return c.bytes }

// Exporters returns the streams and their counters.
func (c *Chain) Exporters() *exporter.Table { return c.decoder.Exporters() }
