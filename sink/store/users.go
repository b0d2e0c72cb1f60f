package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// usersName is the engine's users file in the data directory, written at each start. The engine knows one user, whose
// rights it limits; who may send statements is for the door (door.go) to say.
const usersName = "users.xml"

// grants are what a statement may do, in this order. What is not here is refused by the engine: reading and writing
// files, URLs, object stores and other databases, backups, users, named collections, stopping or reconfiguring the
// engine, and changing its own tables, which are read to see what it does.
var grants = []string{
	"GRANT SHOW, SELECT, INSERT, ALTER, CREATE DATABASE, CREATE TABLE, CREATE VIEW, CREATE DICTIONARY, CREATE " +
		"FUNCTION, " +
		"CREATE ARBITRARY TEMPORARY TABLE, CREATE TEMPORARY VIEW, DROP, UNDROP TABLE, TRUNCATE, OPTIMIZE, CHECK, " +
		"KILL QUERY, dictGet ON *.*",
	"GRANT SYSTEM MERGES, SYSTEM TTL MERGES, SYSTEM MOVES, SYSTEM VIEWS, SYSTEM DROP CACHE, SYSTEM RELOAD " +
		"DICTIONARY, " +
		"SYSTEM FLUSH, SYSTEM CLEANUP, SYSTEM LOAD PRIMARY KEY, SYSTEM UNLOAD PRIMARY KEY ON *.*",
	"REVOKE " + changes + " ON system.*",
	"REVOKE " + changes + " ON information_schema.*",
	"REVOKE " + changes + " ON INFORMATION_SCHEMA.*",
	// The store drops these itself (dropDangerousTables).
	"GRANT DROP TABLE ON system." + strings.Join(dangerousTables, ", DROP TABLE ON system."),
}

// changes are the grants to make, change and take away tables. Without CREATE nothing is put where nothing can be
// dropped.
const changes = "ALTER, CREATE TABLE, CREATE VIEW, CREATE DICTIONARY, DROP, TRUNCATE"

// lockedSettings cannot be changed by statements: they name files to read or write, servers to ask, change the
// language, which the guard would not understand, or write to the log of this process and to tables of the engine's own
// for each query or sample of it. What bounds a query's own memory, threads and time is left to whoever asks it.
var lockedSettings = []struct{ name, value string }{ // an empty value is the engine's default
	{"dialect", ""},
	{"format_schema_source", "string"}, // format_schema is then the schema itself and not a file's name
	{"format_template_resultset", ""},
	{"format_template_row", ""},
	{"output_format_schema", ""},
	{"input_format_record_errors_file_path", ""},
	{"rename_files_after_processing", ""},
	{"format_avro_schema_registry_url", ""},
	{"url_base", ""},
	{"allow_experimental_eval_table_function", ""},
	{"allow_experimental_ai_functions", ""},
	{"allow_introspection_functions", ""},
	{"allow_deprecated_database_ordinary", ""},
	{"jemalloc_enable_profiler", ""},
	{"into_outfile_create_parent_directories", ""},
	{"send_logs_level", ""},
	{"send_logs_source_regexp", ""},
	{"log_queries", ""},
	{"log_query_threads", ""},
	{"log_query_views", ""},
	{"log_processors_profiles", ""},
	{"log_profile_events", ""},
	{"log_queries_cut_to_length", ""},
	{"query_profiler_real_time_period_ns", ""},
	{"query_profiler_cpu_time_period_ns", ""},
	{"memory_profiler_step", ""},
	{"memory_profiler_sample_probability", ""},
	{"trace_profile_events", ""},
	{"opentelemetry_start_trace_probability", ""},
	{"opentelemetry_trace_processors", ""},
	{"os_thread_priority", ""}, // the former name of niceSetting
	{"os_threads_nice_value_materialized_view", ""},
}

// writeUsers writes the users file and returns its path.
func (o Options) writeUsers() (string, error) {
	var b strings.Builder
	b.WriteString("<!-- Written by the collector at each start of its store. -->\n<clickhouse>\n<profiles><default>\n")
	for _, s := range lockedSettings {
		if s.value != "" {
			fmt.Fprintf(&b, "<%s>%s</%[1]s>\n", s.name, s.value)
		}
	}
	b.WriteString("<constraints>\n")
	for _, s := range lockedSettings {
		fmt.Fprintf(&b, "<%s><const/></%[1]s>\n", s.name)
	}
	// Nobody has a higher priority than inserts, and so none over other programs.
	fmt.Fprintf(&b, "<%s><min>%d</min></%[1]s>\n", niceSetting, storeNice)
	b.WriteString("</constraints>\n</default></profiles>\n<quotas><default/></quotas>\n")
	b.WriteString(
		"<users><default><password></password><networks><ip>::/0</ip></networks><profile>default</profile>" +
			"<quota>default</quota>\n<grants>\n")
	for _, g := range grants {
		fmt.Fprintf(&b, "<query>%s</query>\n", g)
	}
	b.WriteString("<query>GRANT TABLE ENGINE ON " + strings.Join(allowedEngines, ", TABLE ENGINE ON ") + "</query>\n")
	b.WriteString("</grants>\n</default></users>\n</clickhouse>\n")
	path := filepath.Join(o.Path, usersName)
	if err := os.WriteFile(path, []byte(b.String()), 0o640); err != nil {
		return "", fmt.Errorf("store: the engine's users: %w", err)
	}
	return path, nil
}
