package status

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/sqltext"
)

// Top queries the store for the largest senders and receivers of the last minutes. It does so on demand, and at most
// every few seconds.
type Top struct {
	Conn     driver.Conn
	Database string
	Table    string // of flows
	Snapshot func() *enrich.Snapshot

	mu     sync.Mutex
	latest *TopTraffic
	asked  time.Time
}

// TopTraffic has the largest of the last minutes. If the store did not answer, Error says why.
type TopTraffic struct {
	Error      string
	Minutes    int
	SourceAS   []Share
	DestAS     []Share
	Interfaces []Share
	StoreClock time.Duration // the store's clock minus ours
}

// Share is one of the largest.
type Share struct {
	ID    string
	Name  string  // "" if metadata has none
	Bits  float64 // per second, on average
	Share float64 // part of all traffic of that time
}

const (
	topMinutes  = 10
	topRows     = 8
	topEvery    = 10 * time.Second
	topPatience = 3 * time.Second
)

// Get returns the store's answer, which may be some seconds old. It never waits for long.
func (t *Top) Get(ctx context.Context) *TopTraffic {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.latest != nil && time.Since(t.asked) < topEvery {
		return t.latest
	}
	// The answer is for all who ask, so it is not cancelled with one request.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), topPatience)
	defer cancel()
	latest, err := t.ask(ctx)
	if err != nil {
		latest = &TopTraffic{Minutes: topMinutes, Error: plainError(err)}
	}
	t.latest, t.asked = latest, time.Now()
	return latest
}

// StoreClock returns the store's clock minus ours, as of the latest answer; 0 if there is none.
func (t *Top) StoreClock() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.latest == nil {
		return 0
	}
	return t.latest.StoreClock
}

// plainError returns the innermost reason if the store was not reached, else the store's message, without what the
// client adds.
func plainError(err error) string {
	var network *net.OpError
	if errors.As(err, &network) {
		return network.Error()
	}
	return StoreError(err, 200)
}

// StoreError is what the store says, in one line of at most so many bytes, without what the client adds.
func StoreError(err error, most int) string {
	text, _, _ := strings.Cut(strings.ReplaceAll(err.Error(), "\n", " "), " (version ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// topQuery sums the flows that began in the last minutes, by one key.
const topQuery = `SELECT %[1]s AS k, sum(bit_count) / %[2]d AS bits, sum(bits) OVER () AS total
FROM %[3]s %[4]s
WHERE start_time >= now() - %[2]d AND start_time <= now() + 60 AND k != '' AND k != '0'
GROUP BY k ORDER BY bits DESC, k LIMIT %[5]d`

func (t *Top) ask(ctx context.Context) (*TopTraffic, error) {
	// One thread, at low priority, and no longer than anybody would wait.
	ctx = chgo.Context(ctx, chgo.WithSettings(chgo.Settings{
		"max_execution_time": int(topPatience.Seconds()) - 1, "max_threads": 1, "priority": 10,
		"log_comment": "collector page",
	}))
	top := &TopTraffic{Minutes: topMinutes}
	var now time.Time
	if err := t.Conn.QueryRow(ctx, "SELECT now64(3, 'UTC')").Scan(&now); err != nil {
		return nil, err
	}
	top.StoreClock = time.Until(now)
	for _, q := range []struct {
		key, join string
		into      *[]Share
	}{
		{"toString(src_as_id)", "", &top.SourceAS},
		{"toString(dst_as_id)", "", &top.DestAS},
		// A flow counts on both of its interfaces.
		{"ifNull(i, '')", "ARRAY JOIN arrayDistinct([in_interface_id, out_interface_id]) AS i", &top.Interfaces},
	} {
		shares, err := t.largest(ctx, q.key, q.join)
		if err != nil {
			return nil, err
		}
		*q.into = shares
	}
	snapshot := t.Snapshot()
	for _, list := range [][]Share{top.SourceAS, top.DestAS} {
		for i := range list {
			if id, err := strconv.ParseUint(list[i].ID, 10, 32); err == nil {
				as, _ := snapshot.LookupAS(uint32(id))
				list[i].Name = as.Name
			}
		}
	}
	return top, nil
}

func (t *Top) largest(ctx context.Context, key, join string) (shares []Share, err error) {
	table := sqltext.Name(t.Database) + "." + sqltext.Name(t.Table)
	rows, err := t.Conn.Query(ctx, fmt.Sprintf(topQuery, key, topMinutes*60, table, join, topRows))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s Share
		var total float64
		if err := rows.Scan(&s.ID, &s.Bits, &total); err != nil {
			return nil, err
		}
		if total > 0 {
			s.Share = s.Bits / total
		}
		shares = append(shares, s)
	}
	return shares, rows.Err()
}
