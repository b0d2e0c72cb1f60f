package store_test

import (
	"net/http"
	"testing"

	"github.com/metranova/flow-collector/sink/store/storetest"
)

// systemStatements take away or change tables of the engine's own, or put some there. TestHostileStatements sends them.
var systemStatements = []string{
	"DROP TABLE system.one",
	"DROP TABLE `system`.`one` SYNC",
	"DROP TABLE IF EXISTS nothing, system.one",
	"DROP DATABASE system",
	"DROP VIEW information_schema.tables",
	"DROP TABLE INFORMATION_SCHEMA.tables",
	"DROP DATABASE information_schema",
	"DETACH TABLE system.one",
	"DETACH TABLE system.one PERMANENTLY",
	"DETACH VIEW INFORMATION_SCHEMA.tables",
	"DETACH DATABASE system",
	"TRUNCATE TABLE system.one",
	"TRUNCATE DATABASE system",
	"TRUNCATE ALL TABLES FROM system",
	"TRUNCATE TABLES FROM system LIKE 'o%'",
	"RENAME TABLE system.one TO system.two",
	"RENAME TABLE system.one TO two",
	"RENAME TABLE plain TO system.plain",
	"RENAME DATABASE system TO hostile",
	"EXCHANGE TABLES system.one AND plain",
	"EXCHANGE TABLES plain AND system.one",
	"ALTER TABLE system.one ADD COLUMN x Int8",
	"ALTER TABLE system.one MODIFY COMMENT 'x'",
	"ALTER TABLE system.one DELETE WHERE 1",
	"ALTER DATABASE system MODIFY COMMENT 'x'",
	"DELETE FROM system.one WHERE 1",
	"UPDATE system.one SET dummy = 1 WHERE 1",
	"CREATE TABLE system.hostile (x Int8) ENGINE = Memory",
	"CREATE OR REPLACE TABLE system.one (x Int8) ENGINE = Memory",
	"REPLACE TABLE system.one (x Int8) ENGINE = Memory",
	"CREATE VIEW system.hostile AS SELECT 1",
	"CREATE OR REPLACE VIEW information_schema.tables AS SELECT 1",
	"SELECT 1 PARALLEL WITH DROP TABLE system.one",
}

// TestSystemTables changes the engine's own tables from within their database, and finds them all there in the end.
func TestSystemTables(t *testing.T) {
	base := storetest.Start(t)
	const count = "SELECT count() FROM system.tables WHERE lower(database) IN ('system', 'information_schema')"
	before := run(t, base, count)
	for database, statements := range map[string][]string{
		"system": {"DROP TABLE one", "DETACH TABLE one", "TRUNCATE TABLE one", "RENAME TABLE one TO two",
			"ALTER TABLE one ADD COLUMN x Int8", "CREATE TABLE hostile (x Int8) ENGINE = Memory"},
		"information_schema": {"DROP VIEW tables", "DETACH VIEW tables", "RENAME TABLE tables TO views2"},
		"INFORMATION_SCHEMA": {"DROP VIEW tables", "DETACH VIEW tables", "CREATE VIEW hostile AS SELECT 1"},
	} {
		for _, sql := range statements {
			run(t, base+"?session_id=s", "USE "+database)
			for _, path := range []string{"?database=" + database, "?session_id=s"} {
				if r := send(t, http.MethodPost, base+path, sql); r.status != http.StatusForbidden {
					t.Errorf("%s of %s by %s: status %d: %s", sql, database, path, r.status, r.body)
				}
			}
		}
	}
	if after := run(t, base, count); after != before {
		t.Errorf("tables of the engine: %s before, %s after", before, after)
	}
	if got := run(t, base, "SELECT * FROM system.one"); got != "0\n" {
		t.Errorf("system.one has %q", got)
	}
	// Tables of these names elsewhere are the user's.
	run(t, base, "CREATE TABLE one (x Int8) ENGINE = MergeTree ORDER BY x")
	run(t, base, "CREATE TEMPORARY TABLE tables (x Int8)")
	run(t, base, "RENAME TABLE one TO two")
	run(t, base, "TRUNCATE TABLE two")
	run(t, base, "DROP TABLE two")
	run(t, base, "CREATE DATABASE mine")
	run(t, base, "DROP DATABASE mine")
}
