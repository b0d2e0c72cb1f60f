package metadata

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"golang.org/x/sync/errgroup"
)

// insertBytes is the size of an insert: large enough for few parts, small enough to hold three of them.
const insertBytes = 32 << 20

// inserter collects rows in RowBinary and inserts them while the next ones are made. Inserts go one after the other.
type inserter struct {
	buf    []byte
	rows   int // all that were added
	full   chan []byte
	free   chan []byte
	group  *errgroup.Group
	ctx    context.Context
	cancel context.CancelFunc
}

func (d *database) insert(ctx context.Context, table string, columns []string) *inserter {
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	i := &inserter{full: make(chan []byte, 1), free: make(chan []byte, 3), group: group, ctx: ctx, cancel: cancel}
	query := "INSERT INTO " + d.name(table) + " (" + strings.Join(columns, ", ") + ")"
	settings := chgo.Settings{
		"input_format_binary_read_json_as_string": 1,
		// A version that comes back as it was is no repeated insert.
		"insert_deduplicate": 0,
	}
	group.Go(func() error {
		for data := range i.full {
			if err := d.conn.InsertFormat(chgo.Context(ctx, chgo.WithSettings(settings)), "RowBinary", query, bytes.NewReader(data)); err != nil {
				return fmt.Errorf("insert into %s: %w", table, err)
			}
			select {
			case i.free <- data[:0]:
			default:
			}
		}
		return nil
	})
	return i
}

// add adds the row that row appends.
func (i *inserter) add(row func(b []byte) []byte) error {
	i.buf = row(i.buf)
	i.rows++
	if len(i.buf) < insertBytes {
		return nil
	}
	return i.flush()
}

func (i *inserter) flush() error {
	if len(i.buf) == 0 {
		return nil
	}
	select {
	case i.full <- i.buf:
	case <-i.ctx.Done():
		return context.Cause(i.ctx)
	}
	select {
	case i.buf = <-i.free:
	default:
		i.buf = make([]byte, 0, 64<<10)
	}
	return nil
}

// close inserts what is left, unless the load has failed already, and waits.
func (i *inserter) close(failed error) error {
	defer i.cancel()
	if failed == nil {
		failed = i.flush()
	}
	close(i.full)
	if err := i.group.Wait(); err != nil {
		return err
	}
	return failed
}
