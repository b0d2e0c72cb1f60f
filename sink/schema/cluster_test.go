package schema

import (
	"strings"
	"testing"
)

// clusterSettings have every statement there is: shards, replicas, volumes, rollups, views of all kinds.
func clusterSettings() Settings {
	s := Default()
	s.Cluster, s.Replication.Enabled, s.Distributed = "all shards", true, true
	s.FlowExtensions, s.IPRefExtensions = []string{"bgp", "ipv4", "ipv6", "mpls", "vlan"}, []string{"scireg"}
	s.Views = []View{NewView(ByEdgeAS, "5m"), NewView(ByInterface, "1h"), NewView(ByIPVersion, "1mo")}
	s.Rollups = []string{AllRollups}
	s.StoragePolicy = "tiered"
	s.FlowTTL.Interval = "2 DAY TO VOLUME 'cold', start_time + INTERVAL 30 DAY"
	return s
}

// The engine cannot be a cluster, but its parser reads what a cluster gets: every statement that makes the tables, and
// every one that changes older ones.
func TestCluster_parsed(t *testing.T) {
	conn := engine(t)
	s := clusterSettings()
	statements, err := Statements(s)
	if err != nil {
		t.Fatal(err)
	}
	// Tables as an older version has made them, without everything that came later.
	older := &state{tables: map[string]existing{}, canonical: map[string]string{}, databaseExists: true}
	for _, made := range tables(&s) {
		e := existing{Engine: "ReplicatedMergeTree", EngineFull: "ReplicatedMergeTree ORDER BY x TTL start_time + " +
			"toIntervalDay(3) SETTINGS index_granularity = 8192"}
		switch {
		case made.engine == distributedEngine:
			e.Engine, e.EngineFull = distributedEngine, distributedEngine
		case made.engine != "MergeTree":
			continue // is to be made
		}
		for _, c := range made.columns[:len(made.columns)/2] {
			typ := c.typ
			if isJSON(typ) {
				typ = "JSON"
			}
			e.columns = append(e.columns, existingColumn{Name: c.name, Type: typ})
		}
		older.tables[made.name] = e
	}
	for _, v := range s.materializedViews() {
		older.tables[v.name] = existing{Engine: "MaterializedView", Select: "SELECT 1 AS flow_count",
			Create: "CREATE MATERIALIZED VIEW x TO " + unquoted(s.Database) + "." + unquoted(v.table) + " AS SELECT 1"}
	}
	older.tables["rollup_left_5m_mv"] = existing{Engine: "MaterializedView", Select: "SELECT 1 AS flow_count"}
	changes, err := plan(&s, older)
	if err != nil {
		t.Fatal(err)
	}
	created := len(statements)
	for _, step := range append(changes.tables, changes.views...) {
		if step.statement != "" {
			statements = append(statements, step.statement)
		}
	}
	for _, o := range changes.offers {
		statements = append(statements, o.Statement)
	}
	kinds := map[string]int{}
	for _, statement := range statements {
		if !strings.Contains(statement, "ON CLUSTER 'all shards'") {
			t.Errorf("not on the cluster: %s", statement)
		}
		if again := ask(t, conn, "SELECT formatQuery("+literal(statement)+")"); again == "" {
			t.Errorf("not parsed: %s", statement)
		}
		kinds[strings.Join(strings.Fields(statement)[:2], " ")]++
	}
	t.Logf("%d statements that make, %d that change: %v", created, len(statements)-created, kinds)
	for _, kind := range []string{"CREATE TABLE", "CREATE MATERIALIZED", "CREATE DICTIONARY", "ALTER TABLE",
		"DROP VIEW"} {
		if kinds[kind] == 0 {
			t.Errorf("no %s among them", kind)
		}
	}
	if _, err := conn.Query(t.Context(), "SELECT formatQuery('CREATE TABLE x ON CLUSTER')"); err == nil {
		t.Error("the engine takes half a statement: this test shows nothing")
	}
}
