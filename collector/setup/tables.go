package setup

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/metadata"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/schema"
)

// MakeTables creates missing tables and updates the others.
func MakeTables(ctx context.Context, conn driver.Conn, settings schema.Settings, log *zap.Logger) error {
	changes, err := schema.Apply(ctx, conn, settings)
	created := 0
	for _, change := range changes {
		switch {
		case change.Warning:
			log.Warn("table", zap.String("difference", change.Line))
		case strings.HasSuffix(change.Line, ": created"):
			created++
		default:
			log.Info("table", zap.String("change", change.Line))
		}
	}
	if created > 0 {
		log.Info("tables, dictionaries and views created", zap.Int("how many", created),
			zap.String("database", settings.Database))
	}
	if err != nil {
		return fmt.Errorf("tables of database %s: %w", settings.Database, err)
	}
	return metadata.CreateTables(ctx, conn, settings)
}

// Tables returns the schema's settings with the dictionaries' credentials. The local store's dictionaries need none:
// its engine reads its own tables.
func Tables(cfg *config.Config, o clickhouse.Options) schema.Settings {
	s := cfg.Schema
	s.SourceTables = metadata.SourceTables()
	// What waits on disk must be stored once, however long it waits.
	s.DeduplicationSeconds = max(s.DeduplicationSeconds, uint((cfg.Spool.MaxAge+24*time.Hour)/time.Second))
	if !cfg.Server.Flows {
		s.MetadataOnly, s.Views = true, nil
	}
	if o.Password != "" && !cfg.UsesLocalStore() {
		s.DictionarySource = schema.DictionarySource{Username: o.Username, Password: o.Password}
	}
	return s
}
