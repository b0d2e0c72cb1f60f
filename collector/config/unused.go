package config

import (
	"fmt"
	"slices"
	"strings"
)

// unusedNames has the reasons why variables of the reference stack have no effect here. The first matching entry
// counts: a name, or a prefix if it ends with "_".
var unusedNames = []unusedName{
	{"PIPELINE_", "the collector is one process and has no pipeline files"},
	{"KAFKA_", "flows come by UDP, and nothing is read from Kafka"},
	{"REDIS_", "the redis pipelines are not replaced: keep them running if something reads redis"},
	{"TELEGRAF_", snmpPipeline},
	{"METRANOVA_IF_TRAFFIC_INTERVAL", snmpPipeline},
	{"CLICKHOUSE_METRIC_", snmpPipeline},
	{"IRI_", "the IRI pipelines are not replaced: keep them running"},
	{"CLICKHOUSE_IRI_", "the IRI pipelines are not replaced: keep them running"},
	{"ALCF_", "the ALCF pipelines are not replaced: keep them running"},
	{"CLICKHOUSE_ALCF_", "the ALCF pipelines are not replaced: keep them running"},
	{"CRIC_", otherImporter},
	{"CLICKHOUSE_CRIC_", otherImporter},
	{"SCINET_", otherImporter},
	{"CLICKHOUSE_SCINET_METADATA_TABLE", otherImporter},
	{"CLICKHOUSE_SCINET_", otherImporter},
	{"IP_SERVICE_", otherImporter},
	{"SERVICE_EDGE_", otherImporter},
	{"GRAPHQL_", otherImporter},
	{"CLICKHOUSE_ESDB_", otherImporter},
	{"CLICKHOUSE_CACHER_", inMemory},
	{"CLICKHOUSE_RANGED_CACHER_", inMemory},
	{"CLICKHOUSE_CONSUMER_", inMemory},
	{"IP_CACHER_", inMemory},
	{"PICKLE_FILE_DIRECTORY", inMemory},
	{"IP_FILE_USE_SIMPLE_FILE_NAME", inMemory},
	{"CLICKHOUSE_FLUSH_INTERVAL", "a batch goes out when CLICKHOUSE_BATCH_SIZE or CLICKHOUSE_BATCH_TIMEOUT is reached"},
	{"CLICKHOUSE_FLOW_TYPE", "flow_type is what the exporter speaks"},
	{"CLICKHOUSE_RAW_KAFKA_TABLE",
		"raw messages are not stored: keep the pipeline data_kafka_message if you need them"},
	{"CLICKHOUSE_FLOW_IP_TO_AS_LOOKUP_ORDER",
		"AS numbers that exporters do not send come from meta_ip and the ASN blocks of the geo source"},
	{"CLICKHOUSE_FLOW_MV_ANONYMIZED", "this rollup is not replaced: make its view by hand if readers need it"},
	{"CLICKHOUSE_FLOW_MV_ANONYMIZED_", "this rollup is not replaced: make its view by hand if readers need it"},
	{"CLICKHOUSE_IF_METADATA_FORCE_UPDATE", "CLICKHOUSE_METADATA_FORCE_UPDATE is for all metadata"},
	{"CLICKHOUSE_IF_BASE_TABLE", snmpPipeline},
	{"CLICKHOUSE_IF_PORT_QUEUE_TABLE", snmpPipeline},
	{"CLICKHOUSE_IF_SAP_QUEUE_TABLE", snmpPipeline},
	{"INTERFACE_", snmpPipeline},
	{"HTTP_CONSUMER_ENV_PREFIX", "it takes effect in a file whose PIPELINE_YAML is metadata_scireg.yml only"},
	{"HTTP_CONSUMER_", "of what is read by HTTP the collector has the Science Registry alone"},
	{"FILE_CONSUMER_", "the files of METADATA_DIR are read, and read again when they change"},
	{"SCIREG_FILE_", "name a file of the Science Registry in SCIREG_HTTP_CONSUMER_URLS"},
	{"FILE_PROCESSORS", "the files of METADATA_DIR are read, and read again when they change"},
}

type unusedName struct{ name, why string }

const (
	snmpPipeline  = "the SNMP pipelines are not replaced: keep them running, with Kafka"
	otherImporter = "this importer is not replaced: keep it running; CLICKHOUSE_FLOW_IP_REF_EXTENSIONS has its table " +
		"used"
	inMemory = "all metadata is held in memory, and there is no cache to set up"
)

// An UnusedVariable is a variable that has no effect, or several with the same reason; Key has the
// names.
type UnusedVariable struct {
	Problem
	Known bool // it is the reference stack's; otherwise it may be a typo
}

// Unused returns the variables of the env files that have no effect, by file and reason, and likely typos in the
// process's environment.
func (c *Config) Unused() []UnusedVariable {
	used := map[string]bool{}
	for _, k := range keys(c) {
		for _, name := range k.env {
			used[name] = true
		}
	}
	var all []UnusedVariable
	for _, path := range c.source.EnvFiles {
		data, err := readText(path, maxEnvFile)
		if err != nil {
			continue // Load reports it
		}
		names := map[string][]string{}
		var reasons []string
		f := envFile{rest: strings.ReplaceAll(data, "\r\n", "\n"), line: 1,
			lookup: func(string) (string, bool) { return "", false }}
		for f.skipBlank() {
			name, _, _, err := f.statement()
			if err != nil || name == "" || used[name] || c.aliases[path][name] ||
				strings.HasPrefix(name, "CLICKHOUSE_FLOW_MV_BY_") ||
				strings.Contains(data, "${"+name) { // other lines, or the configuration file, use it
				continue
			}
			why := unusedReason(name, used)
			if names[why] == nil {
				reasons = append(reasons, why)
			}
			if !slices.Contains(names[why], name) {
				names[why] = append(names[why], name)
			}
		}
		for _, why := range reasons {
			known := slices.ContainsFunc(unusedNames, func(u unusedName) bool { return u.why == why })
			all = append(all, UnusedVariable{Known: known,
				Problem: Problem{Where: path, Key: strings.Join(names[why], ", "), Why: "not used: " + why}})
		}
	}
	return append(all, c.mistyped(used)...)
}

// mistyped returns the variables of the process's own environment that look like typos. Others there are not ours, so
// names that are only somewhat similar are not reported.
func (c *Config) mistyped(used map[string]bool) (all []UnusedVariable) {
	const short, long = 5, 12
	for _, variable := range c.source.Environ {
		name, _, _ := strings.Cut(variable, "=")
		meant := near(name, used)
		known := slices.ContainsFunc(unusedNames, func(u unusedName) bool { return u.name == name })
		if len(name) < short || used[name] || known || meant == "" ||
			len(name) < long && distance(name, meant) > 1 {
			continue
		}
		all = append(all, UnusedVariable{Problem: Problem{Where: "environment", Key: name,
			Why: fmt.Sprintf("not used: did you mean %s?", meant)}})
	}
	return all
}

// unusedReason returns why a variable has no effect. If the name is similar to that of a setting, it is taken for a
// typo.
func unusedReason(name string, used map[string]bool) string {
	for _, u := range unusedNames {
		if name == u.name || strings.HasSuffix(u.name, "_") && strings.HasPrefix(name, u.name) {
			if u.name == name || near(name, used) == "" {
				return u.why
			}
		}
	}
	if meant := near(name, used); meant != "" {
		return fmt.Sprintf("did you mean %s?", meant)
	}
	return "the collector knows no such variable"
}

// near returns the name that differs from name by at most two characters, by its case, or by a word that other names of
// the same group have; "" if there is none.
func near(name string, used map[string]bool) string {
	if upper := strings.ToUpper(name); used[upper] {
		return upper
	}
	for _, word := range []string{"FLOW_", "METADATA_", "CONSUMER_", "CLICKHOUSE_", "KAFKA_", "HTTP_"} {
		if without := strings.Replace(name, word, "", 1); without != name && used[without] {
			return without
		}
	}
	best, least := "", 3
	for known := range used {
		if d := distance(name, known); d < least || d == least && best != "" && known < best {
			best, least = known, d
		}
	}
	return best
}

// distance returns the number of characters to insert, delete, replace or swap with the next to turn a into b.
func distance(a, b string) int {
	if max(len(a), len(b))-min(len(a), len(b)) > 2 {
		return 3
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
		for j := 1; j <= len(b); j++ {
			if i == 0 {
				rows[0][j] = j
				continue
			}
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
