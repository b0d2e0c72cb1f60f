package schema

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func argumentsOf(typ string) []string {
	arguments, _ := parseJSON(typ)
	return arguments
}

func TestJSONArguments(t *testing.T) {
	cases := map[string][]string{
		"JSON":                    nil,
		"JSON(a UInt8)":           {"a UInt8"},
		"JSON(a UInt8, b String)": {"a UInt8", "b String"},
		"JSON(max_dynamic_paths=8, a Array(Tuple(IPv6, UInt8)), `b c` Enum8('x,)' = 1), SKIP d, SKIP REGEXP 'e,')": {
			"max_dynamic_paths=8", "a Array(Tuple(IPv6, UInt8))", "`b c` Enum8('x,)' = 1)", "SKIP d",
			"SKIP REGEXP 'e,'",
		},
	}
	for typ, want := range cases {
		if diff := cmp.Diff(want, argumentsOf(typ)); diff != "" {
			t.Errorf("%s: %s", typ, diff)
		}
	}
	_, typed := parseJSON("JSON(max_dynamic_paths=8, a UInt8, `b` String, SKIP d)")
	if diff := cmp.Diff(paths{"a": "UInt8", "b": "String"}, typed); diff != "" {
		t.Error(diff)
	}
}

// asExisting is a table as the server would show it.
func asExisting(t *table, change func(*existing)) existing {
	e := existing{Name: t.name, Engine: t.engine,
		EngineFull: t.engine + " " + strings.ReplaceAll(t.storageClauses(), "\n", " ") +
			"SETTINGS non_replicated_deduplication_window = 1000000"}
	for _, c := range t.columns {
		e.columns = append(e.columns, existingColumn{Table: t.name, Name: c.name, Type: c.typ})
	}
	if change != nil {
		change(&e)
	}
	return e
}

// planned are all steps of a plan.
func planned(s *Settings, have *state) ([]step, error) {
	all, err := plan(s, have)
	return append(all.tables, all.views...), err
}

// serverWith is a server that has everything but dictionaries and views, one table changed.
func serverWith(s *Settings, name string, change func(*existing)) *state {
	have := &state{databaseExists: true, tables: map[string]existing{}, canonical: map[string]string{}}
	for _, t := range tables(s) {
		have.tables[t.name] = asExisting(&t, nil)
		if t.name == name {
			have.tables[t.name] = asExisting(&t, change)
		}
		have.canonical[t.name] = "CREATE TABLE x " + strings.ReplaceAll(t.storageClauses(), "\n", " ") +
			"SETTINGS a = 1"
	}
	return have
}

func TestPlanMismatch(t *testing.T) {
	setType := func(column, typ string) func(*existing) {
		return func(e *existing) {
			for i := range e.columns {
				if e.columns[i].Name == column {
					e.columns[i].Type = typ
				}
			}
		}
	}
	cases := []struct {
		name, table string
		change      func(*existing)
		want        string
	}{
		{"column type", "data_flow", setType("src_ip", "String"), "table data_flow: column src_ip is String, not IPv6"},
		{"path type", "data_flow", setType("ext", "JSON(bgp_med String)"),
			"table data_flow: path bgp_med of column ext is String, not Nullable(UInt32)"},
		{"engine that does not sum", "data_flow_by_ip_version_5m", func(e *existing) { e.Engine = "MergeTree" },
			"engine is MergeTree, not SummingMergeTree"},
		{"a view in the place of a table", "data_flow", func(e *existing) { e.Engine = "View" },
			"table data_flow: engine is View"},
		{"sorting key of a summing table", "data_flow_by_ip_version_5m", func(e *existing) {
			e.EngineFull = "SummingMergeTree ORDER BY (`ip_version`) SETTINGS a = 1"
		}, "the rows are to be merged with ORDER BY"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := goldenSettings()
			_, err := plan(&s, serverWith(&s, c.table, c.change))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v does not say %q", err, c.want)
			}
		})
	}
}

func TestPlanLeavesToTheOperator(t *testing.T) {
	cases := []struct {
		name, table string
		change      func(*existing)
		want        string
	}{
		{"TTL", "data_flow", func(e *existing) { e.EngineFull = strings.Replace(e.EngineFull, "30 DAY", "90 DAY", 1) },
			"INTERVAL 90 DAY, the settings say `start_time` + INTERVAL 30 DAY; rows go by the table's. To change it: " +
				"ALTER TABLE `golden`.`data_flow` MODIFY TTL `start_time` + INTERVAL 30 DAY"},
		{"no TTL", "data_flow", func(e *existing) {
			e.EngineFull = strings.Replace(e.EngineFull, "TTL `start_time` + INTERVAL 30 DAY ", "", 1)
		}, "its TTL is none, the settings say `start_time` + INTERVAL 30 DAY"},
		{"partition", "data_flow",
			func(e *existing) { e.EngineFull = strings.Replace(e.EngineFull, "toYYYYMMDD(", "toYYYYMM(", 1) },
			"table data_flow: left as it is: PARTITION BY toYYYYMM("},
		{"engine that only keeps", "data_flow", func(e *existing) { e.Engine = "Distributed" },
			"engine is Distributed, not MergeTree; left as it is"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := goldenSettings()
			steps, err := planned(&s, serverWith(&s, c.table, c.change))
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range steps {
				if strings.Contains(step.line, c.want) {
					if step.statement != "" {
						t.Errorf("it runs %s", step.statement)
					}
					return
				}
			}
			t.Errorf("no remark says %q: %v", c.want, steps)
		})
	}
}

func TestPlanKeepsWhatAJSONTypeSays(t *testing.T) {
	s := goldenSettings()
	s.FlowExtensions, s.IPRefExtensions = []string{"ipv4", "ipv6"}, nil
	have := serverWith(&s, "data_flow", func(e *existing) {
		for i := range e.columns {
			if e.columns[i].Name == "ext" {
				e.columns[i].Type = "JSON(max_dynamic_paths=8, ipv4_tos Nullable(UInt8), own String, SKIP noise)"
			}
		}
	})
	steps, err := planned(&s, have)
	if err != nil {
		t.Fatal(err)
	}
	want := "ALTER TABLE `golden`.`data_flow` MODIFY COLUMN `ext` JSON(max_dynamic_paths=8, ipv4_tos " +
		"Nullable(UInt8), own String, SKIP noise, " +
		"ipv4_dscp Nullable(UInt8), ipv6_flow_label Nullable(UInt32))"
	if steps[0].statement != want {
		t.Errorf("got  %s\nwant %s", steps[0].statement, want)
	}
}

func TestPlanAltersOnCluster(t *testing.T) {
	s := goldenSettings()
	s.Cluster = "c"
	have := serverWith(&s, "data_flow",
		func(e *existing) { e.columns = e.columns[:len(e.columns)-len(OptionalColumns())] })
	steps, err := planned(&s, have)
	if err != nil {
		t.Fatal(err)
	}
	want := "ALTER TABLE `golden`.`data_flow` ON CLUSTER 'c' ADD COLUMN IF NOT EXISTS `sampling_rate` UInt32 " +
		"COMMENT 'One packet in so many was sampled; 0 if the exporter said 0.' CODEC(ZSTD(1)) AFTER `packet_count`"
	if steps[0].statement != want {
		t.Errorf("got  %s\nwant %s", steps[0].statement, want)
	}
}

// The server hides a dictionary's password, so it is set again each time, without a line.
func TestPlanSetsTheDictionaryPassword(t *testing.T) {
	s := goldenSettings()
	s.DictionarySource = DictionarySource{Username: "reader", Password: "secret"}
	have := serverWith(&s, "", nil)
	for _, d := range dictionaries(&s) {
		shown := d.masked().create(&s, "CREATE OR REPLACE")
		if strings.Contains(shown, "secret") {
			t.Fatalf("not masked: %s", shown)
		}
		have.tables[d.Name] = existing{Name: d.Name, Engine: "Dictionary", Create: shown}
		have.canonical[d.Name] = shown
	}
	steps, err := planned(&s, have)
	if err != nil {
		t.Fatal(err)
	}
	set := 0
	for _, step := range steps {
		if strings.Contains(step.statement, "PASSWORD 'secret'") {
			set++
			if !step.quiet || !strings.HasPrefix(step.statement, "CREATE OR REPLACE DICTIONARY") {
				t.Errorf("step %+v", step)
			}
		}
	}
	if set != 2 {
		t.Errorf("%d passwords set, want 2", set)
	}
}

// A table that was made before is kept, as the part of a shard.
func TestPlanDistributedOverAnExistingTable(t *testing.T) {
	s := goldenSettings()
	s.Cluster, s.Replication.Enabled, s.Distributed = "c", true, true
	_, err := plan(&s, serverWith(&s, "data_flow", func(e *existing) { e.Engine = "MergeTree" }))
	const want = "RENAME TABLE `golden`.`data_flow` TO `golden`.`data_flow_local` ON CLUSTER 'c'"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v does not say %q", err, want)
	}
	steps, err := planned(&s, serverWith(&s, "", nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range steps {
		if strings.Contains(step.line, "table ") {
			t.Errorf("all is there, but: %s", step.line)
		}
	}
}

func TestPlanRaisesTheDeduplicationWindow(t *testing.T) {
	for _, c := range []struct {
		name, engine, settings string
		want                   []string
	}{
		{"none", "MergeTree", "index_granularity = 8192", []string{"non_replicated_deduplication_window = 20000"}},
		{"a smaller one", "MergeTree",
			"index_granularity = 8192, non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1",
			[]string{"non_replicated_deduplication_window = 20000"}},
		{"a larger one", "MergeTree", "non_replicated_deduplication_window = 1000000", nil},
		{"replicated", "ReplicatedMergeTree", "index_granularity = 8192",
			[]string{"replicated_deduplication_window = 20000", "replicated_deduplication_window_seconds = 691200"}},
		{"replicated, for an hour", "ReplicatedMergeTree", "replicated_deduplication_window = 30000",
			[]string{"replicated_deduplication_window_seconds = 691200"}},
		{"of a cloud", "SharedMergeTree", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := goldenSettings()
			have := serverWith(&s, "data_flow", func(e *existing) {
				e.Engine = c.engine
				e.EngineFull = strings.Split(e.EngineFull, "SETTINGS ")[0] + "SETTINGS " + c.settings
			})
			steps, err := planned(&s, have)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, step := range steps {
				if what, found := strings.CutPrefix(step.statement,
					"ALTER TABLE `golden`.`data_flow` MODIFY SETTING "); found {
					got = append(got, what)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// DESCRIBE explains every column. A comment must not look like the clauses that plan compares.
func TestEveryColumnHasAComment(t *testing.T) {
	s := goldenSettings()
	for _, table := range tables(&s) {
		for _, c := range table.columns {
			switch {
			case c.comment == "":
				t.Errorf("column %s of %s has no comment", c.name, table.name)
			case !strings.HasSuffix(c.comment, "."):
				t.Errorf("the comment of %s.%s is no sentence: %s", table.name, c.name, c.comment)
			}
			for _, clause := range []string{"PARTITION BY", "PRIMARY KEY", "ORDER BY", "SETTINGS", "TTL"} {
				if strings.Contains(c.comment, clause) {
					t.Errorf("the comment of %s.%s has %s in it", table.name, c.name, clause)
				}
			}
		}
	}
}

// Typed paths are added to a small table at once. Adding them to a large one takes the server minutes, so that is
// offered.
func TestPlanTypedPaths(t *testing.T) {
	for _, c := range []struct {
		rows    uint64
		offered bool
	}{{0, false}, {mostConverted, false}, {mostConverted + 1, true}} {
		s := Default()
		s.FlowExtensions = []string{"ipv4", "vlan"}
		have := serverWith(&s, s.Tables.Flow, func(e *existing) {
			e.Rows = &c.rows
			for i := range e.columns {
				if e.columns[i].Name == "ext" {
					e.columns[i].Type = FlowExtType([]string{"ipv4"}, nil)
				}
			}
		})
		all, err := plan(&s, have)
		if err != nil {
			t.Fatal(err)
		}
		altered := slices.ContainsFunc(all.tables, func(s step) bool {
			return strings.Contains(s.statement, "MODIFY COLUMN `ext` JSON(ipv4_dscp")
		})
		offered := slices.ContainsFunc(all.offers, func(o Offer) bool {
			return strings.Contains(o.Statement, "MODIFY COLUMN `ext` JSON(ipv4_dscp") &&
				strings.Contains(o.Line, "20 s a million rows")
		})
		warned := slices.ContainsFunc(all.tables, func(s step) bool {
			return s.warning && strings.Contains(s.line, "collector schema apply")
		})
		if altered == c.offered || offered != c.offered || warned != c.offered {
			t.Errorf("%d rows: altered %t, offered %t, warned %t", c.rows, altered, offered, warned)
		}
	}
}
