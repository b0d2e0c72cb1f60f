package schema

import (
	"strings"
	"testing"
)

// goldenSettings are those that the reference schema was recorded with.
func goldenSettings() Settings {
	s := Default()
	s.Database = "golden"
	s.FlowExtensions = []string{"bgp", "ipv4", "ipv6", "mpls", "vlan"}
	s.IPRefExtensions = []string{"scireg"}
	s.ASExtensions = []string{"peeringdb"}
	s.Views = []View{NewView(ByEdgeAS, "5m"), NewView(ByInterface, "5m"), NewView(ByIPVersion, "5m")}
	return s
}

func TestValidateAcceptsDefaults(t *testing.T) {
	for name, s := range map[string]Settings{"default": Default(), "golden": goldenSettings()} {
		if err := s.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidateNamesSettingAndValue(t *testing.T) {
	cases := []struct {
		name   string
		change func(*Settings)
		want   []string // all in the error
	}{
		{"empty table", func(s *Settings) { s.Tables.Flow = "" }, []string{"flow table", `""`}},
		{"table with a quote", func(s *Settings) { s.Tables.AS = "meta`as" }, []string{"AS table", "meta`as"}},
		{"two tables of one name", func(s *Settings) { s.Tables.IP = "meta_as" },
			[]string{"IP table", "meta_as", "AS table"}},
		{"flow extension", func(s *Settings) { s.FlowExtensions = []string{"bgq"} },
			[]string{"bgq", "bgp, bgp_meta, bgp_src, ipv4, ipv6, mpls, rpki, vlan"}},
		{"AS extension", func(s *Settings) { s.ASExtensions = []string{"caida"} }, []string{"caida", "peeringdb"}},
		{"interface extension", func(s *Settings) { s.InterfaceExtensions = []string{"port"} },
			[]string{"port", "sap, vrtr, vrtr_interface"}},
		{"storage policy", func(s *Settings) { s.StoragePolicy = "a'b" }, []string{"storage policy", "a'b"}},
		{"IP reference extension", func(s *Settings) { s.IPRefExtensions = []string{"a b"} }, []string{"a b"}},
		{"flow TTL", func(s *Settings) { s.FlowTTL.Interval = "30 DAYS" }, []string{"flow TTL", "30 DAYS"}},
		{"TTL column", func(s *Settings) { s.FlowTTL.Column = "a)" }, []string{"flow TTL", "a)"}},
		{"metadata TTL", func(s *Settings) { s.MetadataTTL = "soon" }, []string{"metadata TTL", "soon"}},
		{"partition that ends the statement", func(s *Settings) { s.FlowPartitionBy = "a; DROP TABLE b" },
			[]string{"flow partition", "DROP"}},
		{"partition with a comment", func(s *Settings) { s.FlowPartitionBy = "a -- b" },
			[]string{"flow partition", "b"}},
		{"partition with slashes", func(s *Settings) { s.FlowPartitionBy = "a // b" }, []string{"flow partition", "b"}},
		{"partition with a number sign", func(s *Settings) { s.FlowPartitionBy = "a # b" },
			[]string{"flow partition", "b"}},
		{"sharding key with a comment", func(s *Settings) {
			s.Distributed, s.Cluster, s.ShardingKey = true, "c", "a /* b"
		}, []string{"sharding key", "a /* b"}},
		{"window", func(s *Settings) { s.Views[0].Window = "5x" }, []string{"edge_as 5x", "5x"}},
		{"override without a level", func(s *Settings) { s.Views[1].PolicyLevel = "" },
			[]string{"interface 5m", "policy level"}},
		{"lifetimes", func(s *Settings) { s.ASDictionary.LifetimeMin = 7200 },
			[]string{"meta_as_dict", "7200", "3600"}},
		{"replica path", func(s *Settings) { s.Replication.Enabled, s.Replication.Path = true, "" },
			[]string{"replication"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := goldenSettings()
			c.change(&s)
			err := s.Validate()
			if err == nil {
				t.Fatal("accepted")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not say %q", err, w)
				}
			}
			if _, err := Statements(s); err == nil {
				t.Error("Statements rendered them")
			}
		})
	}
}

func TestWindowInterval(t *testing.T) {
	for window, want := range map[string]string{
		"30s": "30 SECOND", "5m": "5 MINUTE", "5M": "5 MINUTE", "1h": "1 HOUR", "1d": "1 DAY",
		"2w": "2 WEEK", "3mo": "3 MONTH", "10y": "10 YEAR",
	} {
		if got, err := windowInterval(window); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", window, got, err, want)
		}
	}
	for _, window := range []string{"", "5", "m", "0m", "5 m", "5ms", "-1h", "5m,1h", "9999999m"} {
		if got, err := windowInterval(window); err == nil {
			t.Errorf("%q: accepted as %q", window, got)
		}
	}
}

func TestQuoting(t *testing.T) {
	for in, want := range map[string]string{`a`: `'a'`, `it's`: `'it\'s'`, `a\`: `'a\\'`, `\'`: `'\\\''`} {
		if got := literal(in); got != want {
			t.Errorf("literal(%q) = %s, want %s", in, got, want)
		}
	}
	if got, want := ident("a`b\\"), "`a\\`b\\\\`"; got != want {
		t.Errorf("ident = %s, want %s", got, want)
	}
	if got, want := literalArray([]string{"comm:re", "x'y"}), `['comm:re', 'x\'y']`; got != want {
		t.Errorf("literalArray = %s, want %s", got, want)
	}
}

// statement returns the one statement that begins so.
func statement(t *testing.T, s Settings, prefix string) string {
	t.Helper()
	all, err := Statements(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range all {
		if strings.HasPrefix(q, prefix) {
			return q
		}
	}
	t.Fatalf("no statement begins with %q", prefix)
	return ""
}

func TestClusterAndReplicationText(t *testing.T) {
	s := goldenSettings()
	s.Cluster = "all'nodes"
	s.Replication.Enabled = true
	all, err := Statements(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range all {
		if !strings.Contains(q, ` ON CLUSTER 'all\'nodes'`) {
			t.Errorf("without ON CLUSTER: %s", q)
		}
		window := strings.Contains(q,
			" replicated_deduplication_window = 20000, replicated_deduplication_window_seconds = 691200")
		if strings.Contains(q, "non_replicated") || window != strings.Contains(q, "CREATE TABLE") {
			t.Errorf("the window of a replicated table: %s", q)
		}
	}
	const path = "('/clickhouse/tables/{shard}/{database}/{table}', '{replica}'"
	for prefix, engine := range map[string]string{
		"CREATE TABLE IF NOT EXISTS `golden`.`data_flow` ": "ENGINE = ReplicatedMergeTree" + path + ")\n",
		"CREATE TABLE IF NOT EXISTS `golden`.`meta_application` ": "ENGINE = ReplicatedReplacingMergeTree" +
			path + ")\n",
		"CREATE TABLE IF NOT EXISTS `golden`.`data_interface_traffic` ": "ENGINE = ReplicatedCoalescingMergeTree" +
			path + ")\n",
		"CREATE TABLE IF NOT EXISTS `golden`.`collector_loss` ": "ENGINE = ReplicatedMergeTree" + path + ")\n",
		"CREATE TABLE IF NOT EXISTS `golden`.`data_flow_by_edge_as_5m` ": "ENGINE = ReplicatedSummingMergeTree" + path +
			", (flow_count, bit_count, packet_count))\n",
	} {
		if q := statement(t, s, prefix); !strings.Contains(q, engine) {
			t.Errorf("%s is not in: %s", engine, q)
		}
	}
}

func TestDependencyOrder(t *testing.T) {
	all, err := Statements(goldenSettings())
	if err != nil {
		t.Fatal(err)
	}
	rank := func(q string) int {
		for i, prefix := range []string{"CREATE DATABASE", "CREATE TABLE", "CREATE DICTIONARY",
			"CREATE MATERIALIZED VIEW",
			"CREATE VIEW"} {
			if strings.HasPrefix(q, prefix) {
				return i
			}
		}
		t.Fatalf("unexpected statement: %s", q)
		return 0
	}
	for i := 1; i < len(all); i++ {
		if rank(all[i]) < rank(all[i-1]) {
			t.Errorf("%.60q comes after %.60q", all[i], all[i-1])
		}
	}
}

func TestStatementsLeaveOut(t *testing.T) {
	s := goldenSettings()
	s.SkipDatabaseCreate, s.Tables.InterfaceTraffic, s.Tables.Loss = true, "", ""
	s.ApplicationDictionary.Enabled, s.ASDictionary.Enabled = false, false
	all, err := Statements(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range all {
		for _, not := range []string{"CREATE DATABASE", "CoalescingMergeTree", "collector_loss", "CREATE DICTIONARY"} {
			if strings.Contains(q, not) {
				t.Errorf("rendered all the same: %s", q)
			}
		}
	}
}

func TestDictionarySourceText(t *testing.T) {
	s := goldenSettings()
	const prefix = "CREATE DICTIONARY IF NOT EXISTS `golden`.`meta_as_dict`"
	if q := statement(t, s, prefix); strings.Contains(q, "PASSWORD") || strings.Contains(q, "USER") {
		t.Errorf("credentials that nobody gave: %s", q)
	}
	s.DictionarySource = DictionarySource{Username: "o'neil", Password: `p'w\`}
	if q := statement(t, s, prefix); !strings.Contains(q, `USER 'o\'neil' PASSWORD 'p\'w\\' `) {
		t.Errorf("credentials not quoted: %s", q)
	}
	s.DictionarySource = DictionarySource{NamedCollection: "flows"}
	if q := statement(t, s, prefix); !strings.Contains(q, "CLICKHOUSE(NAME `flows` DB 'golden' ") {
		t.Errorf("named collection not used: %s", q)
	}
}

func TestViewText(t *testing.T) {
	const prefix = "CREATE MATERIALIZED VIEW IF NOT EXISTS `golden`.`data_flow_by_edge_as_5m_mv`"
	cases := []struct {
		name   string
		change func(*Settings)
		want   string
		not    string
	}{
		{"several scopes are an array", func(s *Settings) { s.Views[0].PolicyScope = []string{"a:b", "c:d"} },
			"['a:b', 'c:d'] AS policy_scope", ""},
		{"no scope", func(s *Settings) { s.Views[0].PolicyScope = nil }, "emptyArrayString() AS policy_scope", ""},
		{"scope with a quote", func(s *Settings) { s.Views[0].PolicyScope = []string{"o'neil"} },
			`['o\'neil'] AS policy_scope`, ""},
		{"no override", func(s *Settings) { s.Views[0].PolicyOverride = false },
			"    policy_level,\n    policy_scope,\n", "AS policy_level"},
		{"dictionary of another name", func(s *Settings) { s.ApplicationDictionary.Name = "apps" },
			"dictGetOrNull('golden.apps'", ""},
		{"no dictionary", func(s *Settings) { s.ApplicationDictionary.Enabled = false },
			"CAST(NULL, 'Nullable(String)') AS application_id", "dictGet"},
		{"no bgp extension", func(s *Settings) { s.FlowExtensions = nil }, "'{}' AS ext", "bgp_as_path_id"},
		{"flow table of another name", func(s *Settings) { s.Tables.Flow = "flows" }, "FROM `golden`.`flows`\n", ""},
		{"week", func(s *Settings) { s.Views[0].Window = "1w" },
			"toDateTime(toStartOfInterval(least(greatest(start_time, toDateTime64('1970-01-05 00:00:00', 3, 'UTC')), " +
				"toDateTime64('2100-01-01 00:00:00', 3, 'UTC')), INTERVAL 1 WEEK), 'UTC') AS window_start", ""},
		{"a TTL of months", func(s *Settings) { s.Views[0].TTL.Interval = "25 MONTH" },
			"toDateTime64('2102-01-01 00:00:00', 3, 'UTC')", ""},
		{"a very long TTL", func(s *Settings) { s.Views[0].TTL.Interval = "100 YEAR" },
			"toDateTime64('2038-01-01 00:00:00', 3, 'UTC')", ""},
		{"no TTL", func(s *Settings) { s.Views[0].TTL.Interval = "" }, "toDateTime64('2105-01-01 00:00:00', 3, 'UTC')",
			""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := goldenSettings()
			c.change(&s)
			q := statement(t, s, prefix)
			if !strings.Contains(q, c.want) {
				t.Errorf("%q is not in: %s", c.want, q)
			}
			if c.not != "" && strings.Contains(q, c.not) {
				t.Errorf("%q is in: %s", c.not, q)
			}
		})
	}
}

func TestViewPartitionsFollowUTC(t *testing.T) {
	const prefix = "CREATE TABLE IF NOT EXISTS `golden`.`data_flow_by_ip_version_5m`"
	for zone, want := range map[string]string{
		"": "PARTITION BY toYYYYMMDD(start_time)\n", "Etc/UTC": "PARTITION BY toYYYYMMDD(start_time)\n",
		"Europe/Berlin": "PARTITION BY toYYYYMMDD(start_time, 'UTC')\n",
	} {
		s := goldenSettings()
		s.ServerTimezone = zone
		if q := statement(t, s, prefix); !strings.Contains(q, want) {
			t.Errorf("server in %q: %q is not in: %s", zone, want, q)
		}
	}
}

// A cluster of several shards, as text: no cluster can run here.
func TestDistributedText(t *testing.T) {
	s := goldenSettings()
	s.Cluster, s.Replication.Enabled, s.Distributed = "flows", true, true
	const shard, everywhere = "('/clickhouse/tables/{shard}/{database}/{table}', '{replica}'",
		"('/clickhouse/tables/all/{database}/{table}', '{shard}-{replica}'"
	const table = "CREATE TABLE IF NOT EXISTS `golden`."
	for _, test := range []struct{ prefix, want string }{
		{table + "`data_flow_local` ON CLUSTER 'flows'",
			"ENGINE = ReplicatedMergeTree" + shard + ")\nPARTITION BY"},
		{table + "`data_flow` ON CLUSTER 'flows'",
			"ENGINE = Distributed('flows', 'golden', 'data_flow_local', cityHash64(src_ip, dst_ip))"},
		{table + "`data_flow_by_edge_as_5m_local` ", "ENGINE = ReplicatedSummingMergeTree" + shard},
		{table + "`data_flow_by_edge_as_5m` ", "'data_flow_by_edge_as_5m_local', cityHash64(`src_as_id`))"},
		{table + "`meta_device` ", "ENGINE = ReplicatedMergeTree" + everywhere},
		{"CREATE MATERIALIZED VIEW IF NOT EXISTS `golden`.`data_flow_by_edge_as_5m_mv` ON CLUSTER 'flows' TO " +
			"`golden`.`data_flow_by_edge_as_5m_local`", "FROM `golden`.`data_flow_local`\n"},
		{"CREATE DICTIONARY IF NOT EXISTS `golden`.`meta_as_dict` ON CLUSTER 'flows'", "`golden`.`meta_as`"},
	} {
		if q := statement(t, s, test.prefix); !strings.Contains(q, test.want) {
			t.Errorf("%s is not in: %s", test.want, q)
		}
	}
	if q := statement(t, s, "CREATE TABLE IF NOT EXISTS `golden`.`data_flow` "); strings.Contains(q, "ORDER BY") ||
		strings.Contains(q, "SETTINGS") || !strings.Contains(q, "`ext` JSON(") {
		t.Errorf("not a Distributed table: %s", q)
	}
	for change, want := range map[string]func(*Settings){
		"needs a cluster": func(s *Settings) { s.Cluster = "" },
		"and replication": func(s *Settings) { s.Replication.Enabled = false },
		`"rand()"`:        func(s *Settings) { s.ShardingKey = "rand()" },
		"sharding key":    func(s *Settings) { s.ShardingKey = "" },
	} {
		bad := s
		want(&bad)
		if _, err := Statements(bad); err == nil || !strings.Contains(err.Error(), change) {
			t.Errorf("error %v does not say %q", err, change)
		}
	}
}
