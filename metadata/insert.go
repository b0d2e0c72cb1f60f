package metadata

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/cespare/xxhash/v2"
	"golang.org/x/sync/errgroup"

	"github.com/metranova/flow-collector/sink/clickhouse"
)

// insertBytes is the size of an insert: large enough for few parts, small enough to hold three of them in memory.
const insertBytes = 32 << 20

// inserter collects rows in RowBinary and inserts them while the next ones are encoded. Only one insert is under way at
// a time.
type inserter struct {
	db     *database
	table  string
	query  string
	buf    []byte
	ref    string // of the first row in buf, if the rows are versions
	rows   int    // rows added so far
	full   chan chunk
	free   chan []byte
	omit   map[string]bool // settings that the server does not let us change
	group  *errgroup.Group
	ctx    context.Context
	cancel context.CancelFunc
}

// chunk holds the rows of one insert.
type chunk struct {
	data []byte
	ref  string // of one of its versions; "" if the rows are not versions
}

func (d *database) insert(ctx context.Context, table string, columns []string) *inserter {
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	i := &inserter{
		db: d, table: table, query: "INSERT INTO " + d.Name(table) + " (" + strings.Join(columns, ", ") + ")",
		full: make(chan chunk, 1), free: make(chan []byte, 3), omit: map[string]bool{}, group: group, ctx: ctx,
		cancel: cancel,
	}
	group.Go(func() error {
		for c := range i.full {
			if err := i.send(c); err != nil {
				return fmt.Errorf("insert into %s: %w", table, err)
			}
			select {
			case i.free <- c.data[:0]:
			default:
			}
		}
		return nil
	})
	return i
}

// send inserts a chunk. The server drops an insert whose token it remembers, so the token decides what is a repetition.
//
// Versions have numbers, so equal bytes are equal versions: two collectors that load the same change at the same time
// send the same token, and the table gets the versions once. But a remembered token must not block rows that the table
// has lost since (TTL, TRUNCATE). Therefore rows that were dropped and are not in the table are sent again.
//
// Other rows can return to an earlier state (a record vanishes, returns and vanishes again), so each of their inserts
// has a new token.
func (i *inserter) send(c chunk) error {
	if c.ref == "" {
		return i.sendAs(uniqueToken(), c.data)
	}
	h := xxhash.New()
	_, _ = h.WriteString(i.query)
	_, _ = h.Write(c.data)
	token := fmt.Sprintf("metadata %x %d", h.Sum64(), len(c.data))
	if err := i.sendAs(token, c.data); err != nil {
		return err
	}
	switch there, err := i.appears(c.ref); {
	case err != nil:
		return err
	case there:
		return nil
	}
	return i.sendAs(uniqueToken(), c.data)
}

// dispensable are the insert settings that can be left to the server's profile if it does not let us change them.
// Without them, two collectors that load the same change at the same time may write its versions twice. With one
// collector nothing changes.
var dispensable = []string{"async_insert", "insert_deduplicate", "distributed_foreground_insert"}

func (i *inserter) sendAs(token string, data []byte) error {
	settings := chgo.Settings{
		"input_format_binary_read_json_as_string": 1,
		"async_insert":                  0, // the response comes when the rows are stored
		"distributed_foreground_insert": 1, // also on the shards
		"insert_deduplicate":            1, // by token, not by content
		"insert_deduplication_token":    token,
	}
	for name := range i.omit {
		delete(settings, name)
	}
	for {
		err := i.db.Conn.InsertFormat(chgo.Context(i.ctx, chgo.WithSettings(settings)), "RowBinary", i.query,
			bytes.NewReader(data))
		name := clickhouse.ForbiddenSetting(err, func(name string) bool { _, sent := settings[name]; return sent })
		if name == "" {
			return err
		}
		if !slices.Contains(dispensable, name) {
			return fmt.Errorf("%w; metadata cannot be written without the setting %s: allow the user to change it "+
				"with ALTER USER … SETTINGS %s WRITABLE", err, name, name)
		}
		i.omit[name] = true
		delete(settings, name)
	}
}

// appears reports whether the table has a version. It waits a moment, for what another collector has just inserted
// through another replica.
func (i *inserter) appears(ref string) (bool, error) {
	for wait := 50 * time.Millisecond; ; wait *= 2 {
		var n uint64
		err := i.db.Conn.QueryRow(i.ctx, "SELECT count() FROM "+i.db.Name(i.table)+" WHERE ref = "+
			literal(ref)).Scan(&n)
		if err != nil || n > 0 || wait > 2*time.Second {
			return n > 0, err
		}
		select {
		case <-time.After(wait):
		case <-i.ctx.Done():
			return false, context.Cause(i.ctx)
		}
	}
}

func uniqueToken() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return "metadata " + hex.EncodeToString(b[:])
}

// add adds the row that the function appends. ref is that of a version, "" for other rows.
func (i *inserter) add(ref string, row func(b []byte) []byte) error {
	if len(i.buf) == 0 {
		i.ref = ref
	}
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
	case i.full <- chunk{i.buf, i.ref}:
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

// close inserts the rest, unless the load has failed already, and waits.
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
