package clickhouse

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sync"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
)

// insertSettings are sent with every insert.
var insertSettings = chgo.Settings{
	// The server responds when the rows are stored, whatever its profile says.
	"async_insert": 0,
	// A retry is recognized by its token, in the table and in the tables of its views.
	"insert_deduplicate": 1,
	"deduplicate_blocks_in_dependent_materialized_views": 1,
	// A Distributed table sends rows to its shards before the server responds.
	"distributed_foreground_insert": 1,
	// Our views aggregate each insert themselves (schema.View); with this setting the server would also sort all rows
	// by every column.
	"optimize_on_insert": 0,
	// The views of an insert share the server's cores. Otherwise it works them off one by one, and the insert takes as
	// long as all of them.
	"parallel_view_processing": 1,
	// A router with a wrong clock spreads its rows over many days; the block must not fail because of that.
	partitionsSetting: 0,
}

const partitionsSetting = "max_partitions_per_insert_block"

// dispensable has the settings that can be left to the server's profile if it does not let us change them, and the
// consequence.
var dispensable = map[string]string{
	partitionsSetting:          "blocks that touch more partitions than the profile allows are sent in parts",
	"optimize_on_insert":       "inserts take the server longer",
	"parallel_view_processing": "inserts take the server longer",
	"distributed_foreground_insert": "a Distributed table answers before its shards have the rows, and keeps them on " +
		"its own disk until then",
}

// needed are the settings without which a retried insert may be stored twice.
var needed = []string{"async_insert", "insert_deduplicate", "deduplicate_blocks_in_dependent_materialized_views",
	"insert_deduplication_token"}

// InsertSettings returns the settings of an insert with a token.
func InsertSettings(token string) chgo.Settings {
	settings := maps.Clone(insertSettings)
	if token != "" {
		settings["insert_deduplication_token"] = token
	}
	return settings
}

// Error codes for a setting that must not be changed, or that the server does not know.
var forbiddenCodes = []int32{115, 164, 452, 472}

var settingName = regexp.MustCompile(`\b[a-z]+(?:_[a-z]+)+\b`)

// forbiddenSetting returns which of our settings a failure is about; "" if none.
func forbiddenSetting(err error) string {
	return ForbiddenSetting(err, func(name string) bool {
		_, ours := insertSettings[name]
		return ours || slices.Contains(needed, name)
	})
}

// ForbiddenSetting returns which setting a failure is about, if the user may not change it or the server does not know
// it: the first in the server's message for which sent returns true. It returns "" if the failure is about something
// else.
func ForbiddenSetting(err error, sent func(name string) bool) string {
	var exception *chgo.Exception
	if !errors.As(err, &exception) || !slices.Contains(forbiddenCodes, exception.Code) {
		return ""
	}
	for _, name := range settingName.FindAllString(exception.Message, -1) {
		if sent(name) {
			return name
		}
	}
	return ""
}

// explainForbidden adds what to do to an error about a setting that inserts need.
func explainForbidden(err error) error {
	if name := forbiddenSetting(err); slices.Contains(needed, name) {
		return fmt.Errorf("%w; without %s = %v a retried insert may be stored twice: allow the user to change it with "+
			"ALTER USER … SETTINGS %s WRITABLE", err, name, valueOf(name), name)
	}
	return err
}

func valueOf(name string) any {
	if value, ok := insertSettings[name]; ok {
		return value
	}
	return "…"
}

// omitted are the settings that the server does not let us change and that inserts can do without. The zero value has
// none.
type omitted struct {
	mu    sync.Mutex
	names map[string]bool
}

// add notes the setting that a failure is about. It returns its name if inserts can do without it and it was not noted
// before.
func (o *omitted) add(err error) string {
	name := forbiddenSetting(err)
	if _, ok := dispensable[name]; !ok {
		return ""
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.names[name] {
		return ""
	}
	if o.names == nil {
		o.names = map[string]bool{}
	}
	o.names[name] = true
	return name
}

// from removes the omitted settings from those of an insert.
func (o *omitted) from(settings chgo.Settings) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for name := range o.names {
		delete(settings, name)
	}
}
