package metadata

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/metadata/source"
	"github.com/metranova/flow-collector/sink/lograte"
	"github.com/metranova/flow-collector/sink/schema"
)

// BuildFromTables builds a snapshot of the newest version of every record in the tables, without records that no source
// has any more. The tables of IP reference extensions are meta_ip_<extension>.
func BuildFromTables(ctx context.Context, conn driver.Conn, settings schema.Settings) (*enrich.Snapshot, error) {
	b := enrich.NewBuilder()
	if _, err := newDatabase(conn, settings).feed(ctx, &source.Target{Builder: b}); err != nil {
		return nil, err
	}
	return b.Build()
}

// feed reads all tables. An unreadable table costs only its kind: unread says which, and why. An error of the server
// ends it.
func (d *database) feed(ctx context.Context, to *source.Target) (unread map[string]string, err error) {
	unread = map[string]string{}
	for _, k := range tableKinds(&d.Settings) {
		err := k.Load(ctx, &d.Database, to)
		if err != nil && !isOfTable(err) {
			return nil, fmt.Errorf("read %s for the snapshot: %w", k.Table(), err)
		}
		if err != nil {
			unread[k.Name()] = fmt.Sprintf("table %s cannot be read, so rows get no new %s: %v",
				d.Settings.TableName(k.Table()), k.Name(), lograte.OneLine(err))
		}
	}
	return unread, nil
}

// shrunk returns the kinds of which a snapshot lacks everything that the previous one had, or more than half if there
// were many. Only extensions that are configured now count. old may be nil.
func shrunk(old, fresh *enrich.Snapshot, settings *schema.Settings) map[string]string {
	held := map[string]string{}
	if old == nil {
		return held
	}
	before, now := old.Stats(), fresh.Stats()
	for _, k := range tableKinds(settings) {
		had, has := k.Count(&before), k.Count(&now)
		if (had > 0 && has == 0) || (had >= shrinkFloor && has < had/2) {
			held[k.Name()] = fmt.Sprintf("the new metadata has %d %s where the one in use has %d", has, k.Name(), had)
		}
	}
	return held
}
