package service

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/sink/lograte"
	"github.com/metranova/flow-collector/sink/schema"
)

// roomEvery is how often the disk is looked at.
const roomEvery = 20 * time.Second

// room keeps disk free for new rows by dropping the oldest days, as store.keep: as_much_as_fits says.
type room struct {
	conn     driver.Conn
	settings *schema.Settings
	log      *zap.Logger
	// disk returns how many bytes are free, and how many should be.
	disk func() (free, wanted uint64, err error)
	told string // the latest problem, which is logged once
}

// keep looks at the disk until ctx ends.
func (r *room) keep(ctx context.Context) {
	for {
		r.note(r.look(ctx))
		select {
		case <-ctx.Done():
			return
		case <-time.After(roomEvery):
		}
	}
}

// look drops days until enough is free. Files of dropped and merged parts that the store has not deleted yet count as
// free, so that no more goes than has to.
func (r *room) look(ctx context.Context) error {
	free, wanted, err := r.disk()
	if err != nil || free >= wanted {
		return err
	}
	going, err := schema.GoingBytes(ctx, r.conn)
	if err != nil {
		return err
	}
	for free += going; free < wanted && ctx.Err() == nil; {
		dropped, err := schema.DropOldest(ctx, r.conn, r.settings)
		if err != nil {
			return err
		}
		if dropped == nil {
			return fmt.Errorf("the disk is full, and there is no day before today to drop")
		}
		free += dropped.Bytes
		r.log.Warn("the disk is full: the oldest day of a table is dropped (store.keep)",
			zap.String("table", dropped.Table), zap.Time("from", dropped.First), zap.Time("to", dropped.Last),
			zap.Uint64("rows", dropped.Rows), zap.Uint64("bytes", dropped.Bytes))
	}
	return nil
}

// note logs a problem once, until there is another one or none.
func (r *room) note(err error) {
	text := ""
	if err != nil {
		text = lograte.OneLine(err).Error()
	}
	if text != "" && text != r.told {
		r.log.Warn("the disk is full, and no old rows can be dropped", zap.String("error", text))
	}
	r.told = text
}
