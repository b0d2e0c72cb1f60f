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

// insertSettings go with every insert.
var insertSettings = chgo.Settings{
	// The server answers when the rows are stored, whatever its profile says.
	"async_insert": 0,
	// A retry is recognized by its token in the table and in the tables of its views.
	"insert_deduplicate": 1,
	"deduplicate_blocks_in_dependent_materialized_views": 1,
	// A Distributed table hands rows to its shards before the server answers.
	"distributed_foreground_insert": 1,
	// Our views sum an insert up by themselves (schema.View); the server would sort all rows by every column for it.
	"optimize_on_insert": 0,
	// A router with a bad clock spreads its rows over many days; the whole block must not fail for it.
	partitionsSetting: 0,
}

const partitionsSetting = "max_partitions_per_insert_block"

// dispensable are the settings that can be left to the server's profile, where that forbids to change them, and what it
// means.
var dispensable = map[string]string{
	partitionsSetting:               "blocks that touch more partitions than the profile allows are sent in parts",
	"optimize_on_insert":            "inserts take the server longer",
	"distributed_foreground_insert": "a Distributed table answers before its shards have the rows, and keeps them on its own disk until then",
}

// needed are the settings without which a retried insert may be stored twice.
var needed = []string{"async_insert", "insert_deduplicate", "deduplicate_blocks_in_dependent_materialized_views",
	"insert_deduplication_token"}

// InsertSettings are the settings with which an insert of that token is sent.
func InsertSettings(token string) chgo.Settings {
	settings := maps.Clone(insertSettings)
	if token != "" {
		settings["insert_deduplication_token"] = token
	}
	return settings
}

// Error codes for a setting that may not be changed, or that a server does not know.
var forbiddenCodes = []int32{115, 164, 452, 472}

var settingName = regexp.MustCompile(`\b[a-z]+(?:_[a-z]+)+\b`)

// forbiddenSetting is the setting of ours that a failure is about; "" where it is about something else.
func forbiddenSetting(err error) string {
	return ForbiddenSetting(err, func(name string) bool {
		_, ours := insertSettings[name]
		return ours || slices.Contains(needed, name)
	})
}

// ForbiddenSetting is the setting that a failure is about, where the user may not change it or the server does not know
// it: the first in the server's message for which sent is true. It is "" where the failure is about something else.
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

// explainForbidden adds to an error about a setting that inserts cannot do without what to do about it.
func explainForbidden(err error) error {
	if name := forbiddenSetting(err); slices.Contains(needed, name) {
		return fmt.Errorf("%w; without %s = %v a retried insert may be stored twice: let the user set it, "+
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

// omitted are the settings that the server forbids and that inserts do without. The zero value has none.
type omitted struct {
	mu    sync.Mutex
	names map[string]bool
}

// add notes the setting that a failure is about. It returns its name if inserts can do without it and did not know so
// yet.
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

// from removes them from the settings of an insert.
func (o *omitted) from(settings chgo.Settings) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for name := range o.names {
		delete(settings, name)
	}
}
