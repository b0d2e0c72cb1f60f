package setup

import (
	"fmt"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/block"
	"github.com/metranova/flow-collector/sink/clickhouse"
)

// clickHouseSink is ClickHouse or the local store. It is open in every case: rows of an earlier run may be in its
// spool.
func clickHouseSink(cfg *config.Config) Sink {
	return Sink{
		Info: sink.Info{
			Name: "clickhouse", Title: "ClickHouse", Unit: "rows", Done: "written",
			Place:   fmt.Sprintf("table %s.%s", cfg.Schema.Database, cfg.Schema.Tables.Flow),
			Reasons: texts(clickhouse.Reasons()),
		},
		Used: true, Takes: cfg.Server.Flows,
		Spool: SpoolDirectory{What: "spool", Path: cfg.Spool.Path, PathKey: "spool.path", MaxBytes: cfg.Spool.MaxBytes,
			Key: "spool.max_bytes", Log: "spool", QueueBytes: cfg.InsertQueueBytes(), QueueKey: "batch.queue_bytes"},
		Open: func(p Parts) (sink.Sink, error) {
			return clickhouse.NewSink(p.Conn, ClickHouseSinkOptions(cfg, p)), nil
		},
	}
}

// ClickHouseSinkOptions are those of the sink that clickHouseSink opens.
func ClickHouseSinkOptions(cfg *config.Config, p Parts) clickhouse.SinkOptions {
	o := clickhouse.SinkOptions{
		WriterOptions: clickhouse.WriterOptions{
			QueueBytes: int64(cfg.InsertQueueBytes()), Inserters: cfg.Batch.Inserters, Ready: p.TablesMade,
			Spool: p.Spool, Book: p.Book, Attempted: p.Attempted, Quarantine: Quarantine(cfg),
			Window: cfg.Schema.DeduplicationWindow, Replicated: cfg.Schema.Replication.Enabled,
			Log: p.Log.Named("clickhouse").With(zap.Strings("servers", p.Servers)),
		},
		Blocks: clickhouse.BlocksOptions{
			Database: p.Settings.Database, Table: p.Settings.Tables.Flow,
			TrafficTable: p.Settings.Tables.InterfaceTraffic,
			ExtType:      p.ExtType,
			Layout: block.Layout{
				CollectorID:      cfg.CollectorID,
				PolicyOriginator: cfg.Policy.Originator,
				PolicyLevel:      cfg.Policy.Level,
				Extensions:       p.Settings.FlowExtensions,
				IPRefExtensions:  p.Settings.IPRefExtensions,
				WithoutColumns:   p.Settings.WithoutColumns,
			},
			MaxRows: cfg.Batch.Rows, MaxAge: cfg.Batch.Age,
		},
		Flows: cfg.Server.Flows, Run: p.Run,
	}
	if !p.Settings.MetadataOnly {
		o.LossTable = p.Settings.Tables.Loss
	}
	return o
}
