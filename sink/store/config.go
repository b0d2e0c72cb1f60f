package store

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

// configName is the engine's configuration in the data directory, rewritten at each start.
const configName = "engine.xml"

// serverSettings are the engine's settings: the defaults of this package and what the options put over them. The caches
// and pools are sized for a process that shares its machine; the engine's own defaults go up to gigabytes.
func (o Options) serverSettings() map[string]string {
	settings := map[string]string{
		"mark_cache_size":                    fmt.Sprint(64 << 20),
		"index_mark_cache_size":              fmt.Sprint(16 << 20),
		"primary_index_cache_size":           fmt.Sprint(64 << 20),
		"uncompressed_cache_size":            "0",
		"query_condition_cache_size":         fmt.Sprint(8 << 20),
		"compiled_expression_cache_size":     fmt.Sprint(16 << 20),
		"mmap_cache_size":                    "64",
		"background_pool_size":               fmt.Sprint(min(max(runtime.NumCPU()/2, 2), 8)),
		"background_schedule_pool_size":      "4",
		"max_thread_pool_size":               "1000",
		"max_thread_pool_free_size":          "16",
		"thread_pool_queue_size":             "1000",
		"os_threads_nice_value_merge_mutate": fmt.Sprint(mergeNice),
		// A table remembers the tokens of its last inserts, so that one that is sent again is not written again.
		// Without this setting only replicated tables do.
		"merge_tree.non_replicated_deduplication_window": "10000",
		// What one insert brings is written to one file instead of one for each of some hundred columns and paths,
		// which takes half the processor time; merges make files of their own for each column as soon as it pays. The
		// engine's default is 10 MiB.
		"merge_tree.min_bytes_for_wide_part": fmt.Sprint(100 << 20),
		// A merge has a granule of each of its parts in memory, of 8192 rows or of so many bytes; the engine's default
		// is 10 MiB. Rows of which each value is random take some 600 bytes. With 1 MiB inserts took a fifth more time.
		"merge_tree.index_granularity_bytes": fmt.Sprint(2 << 20),
	}
	if n := reserve(o.Path); n > 0 {
		settings["storage_configuration.disks.default.keep_free_space_bytes"] = fmt.Sprint(n)
	}
	if o.Memory > 0 {
		settings["max_server_memory_usage"] = fmt.Sprint(o.Memory)
		// Above this no merge begins while another runs, so that merges leave inserts and queries their memory.
		settings["merges_mutations_memory_usage_soft_limit"] = fmt.Sprint(o.Memory / 4)
	}
	for name, value := range o.Settings {
		settings[name] = value
	}
	return settings
}

// reserve is how much of the disk under a directory the engine leaves free, in bytes: 1 GiB, or the twentieth part of a
// small disk. It takes no inserts and begins no merges then, which both can wait; one that a full disk meets half way
// can leave a part behind that cannot be read (seen with 26.7, "Empty marks file").
func reserve(dir string) uint64 {
	var disk unix.Statfs_t
	if unix.Statfs(dir, &disk) != nil {
		return 0
	}
	return min(1<<30, disk.Blocks*uint64(disk.Bsize)/20)
}

var xmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// writeConfig writes the server settings where the engine reads them, and returns the path. Only a file can hold
// settings of a section: the engine's command line cannot.
func (o Options) writeConfig() (string, error) {
	settings := o.serverSettings()
	if settings["users_config"] == "" {
		users, err := o.writeUsers()
		if err != nil {
			return "", err
		}
		settings["users_config"] = users
	}
	names := make([]string, 0, len(settings))
	for name := range settings {
		names = append(names, name)
	}
	sort.Strings(names)
	var b strings.Builder
	b.WriteString("<!-- Written by the collector at each start of its store. -->\n<clickhouse>\n")
	var open []string // the sections that the engine, which looks at the first of a name only, must find in one piece
	for _, name := range names {
		sections := strings.Split(name, ".")
		for _, s := range sections {
			if !isSettingName(s) {
				return "", fmt.Errorf("store: %q is not the name of a server setting", name)
			}
		}
		around, last := sections[:len(sections)-1], sections[len(sections)-1]
		shared := 0
		for shared < min(len(open), len(around)) && open[shared] == around[shared] {
			shared++
		}
		closeSections(&b, open[shared:])
		for _, s := range around[shared:] {
			b.WriteString("<" + s + ">\n")
		}
		open = around
		b.WriteString("<" + last + ">")
		xmlEscapes.WriteString(&b, settings[name])
		b.WriteString("</" + last + ">\n")
	}
	closeSections(&b, open)
	b.WriteString("</clickhouse>\n")
	path := filepath.Join(o.Path, configName)
	if err := os.WriteFile(path, []byte(b.String()), 0o640); err != nil {
		return "", fmt.Errorf("store: the engine's configuration: %w", err)
	}
	return path, nil
}

func closeSections(b *strings.Builder, sections []string) {
	for i := len(sections) - 1; i >= 0; i-- {
		b.WriteString("</" + sections[i] + ">\n")
	}
}

func isSettingName(s string) bool {
	for i := range len(s) {
		if !isWordByte(s[i]) || s[i] >= 0x80 {
			return false
		}
	}
	return s != ""
}
