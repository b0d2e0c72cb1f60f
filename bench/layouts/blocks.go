package layouts

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/metranova/flow-collector/collector/pipeline"
	"github.com/metranova/flow-collector/decoder"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/block"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/native"
)

// insertBlock is the body of one insert.
type insertBlock struct {
	data []byte
	rows int
}

const defaultBlockRows = 50_000

// blocksOf runs datagrams through a worker of the collector. It returns the blocks and the statement to insert them.
func blocksOf(datagrams []exporter.Datagram, snapshot *enrich.Snapshot, table string, l Layout) (insert string,
	blocks []insertBlock, err error) {
	rows := l.BlockRows
	if rows == 0 {
		rows = defaultBlockRows
	}
	settings := new(atomic.Pointer[pipeline.Settings])
	settings.Store(&pipeline.Settings{Policy: enrich.Policy{AutoScopes: true}})
	w := pipeline.NewWorker(pipeline.Options{
		Decoder: decoder.New(decoder.Options{}), Enricher: enrich.New(enrich.Options{}),
		Snapshot: current(snapshot), Settings: settings,
		Sinks: []sink.Batcher{clickhouse.NewBlocks(clickhouse.BlocksOptions{
			Table: table, MaxRows: rows, MaxAge: time.Hour, TokenPrefix: table,
			Layout: block.Layout{CollectorID: "bench", Extensions: l.Extensions,
				IPRefExtensions: l.IPRefExtensions, WithoutColumns: l.WithoutColumns},
			Buffer: func() native.Packed { return native.Packed{} },
			Deliver: func(ins *clickhouse.Insert) {
				insert = ins.Query + " FORMAT Native"
				blocks = append(blocks,
					insertBlock{native.Packed{Data: ins.Data, Fills: ins.Fills}.Expand(nil), ins.Rows})
			},
		})},
	})
	now := time.Now()
	for i := range datagrams {
		w.Process(datagrams[i:i+1], now)
	}
	w.Flush()
	if len(blocks) == 0 {
		return "", nil, errors.New("the datagrams give no rows")
	}
	return insert, blocks, nil
}

// sort lets the store sort the rows of each block by the table's key.
func (r *run) sort(ctx context.Context, insert, table string, blocks []insertBlock) ([]insertBlock, error) {
	staging := table + "_unsorted"
	if _, err := r.store.Read(ctx, "CREATE TABLE "+staging+" AS "+table+
		" ENGINE = MergeTree ORDER BY tuple()"); err != nil {
		return nil, err
	}
	columns := "* EXCEPT insert_time"
	var sorted []insertBlock
	for _, b := range blocks {
		if err := r.store.Insert(ctx, strings.Replace(insert, table, staging, 1), b.data); err != nil {
			return nil, err
		}
		data, err := r.store.Read(ctx, "SELECT "+columns+" FROM "+staging+
			" ORDER BY src_as_id, dst_as_id, src_ip, dst_ip, start_time SETTINGS max_block_size = 1000000 "+
			"FORMAT Native")
		if err != nil {
			return nil, err
		}
		sorted = append(sorted, insertBlock{data, b.rows})
		if _, err := r.store.Read(ctx, "TRUNCATE TABLE "+staging); err != nil {
			return nil, err
		}
	}
	_, err := r.store.Read(ctx, "DROP TABLE "+staging+" SYNC")
	return sorted, err
}

var codec = regexp.MustCompile(` CODEC\((?:[^()]|\([^()]*\))*\)`)

// withoutCodecs removes the codecs from a CREATE TABLE statement, so that the server's default applies.
func withoutCodecs(statement string) string { return codec.ReplaceAllString(statement, "") }
