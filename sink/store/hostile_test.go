package store_test

import (
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/metranova/flow-collector/sink/store"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

// outside is what statements must not reach: a file, a directory and a port.
type outside struct {
	dir, secret, port string
	asked             atomic.Int64 // connections that the port got
}

const secretText = "outside-the-database"

func newOutside(t *testing.T) *outside {
	t.Helper()
	o := &outside{dir: t.TempDir()}
	o.secret = filepath.Join(o.dir, "secret.txt")
	must(t, os.WriteFile(o.secret, []byte(secretText+"\n"), 0o644))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	_, o.port, err = net.SplitHostPort(l.Addr().String())
	must(t, err)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			o.asked.Add(1)
			conn.Close()
		}
	}()
	return o
}

// hostileStatements try to read or write a file, run a program or reach the network. {FILE}, {DIR} and {PORT} stand for
// what is outside.
var hostileStatements = []string{
	// Table functions, read and written.
	"SELECT * FROM file('{FILE}', 'LineAsString')",
	"SELECT * FROM file('{FILE}', 'LineAsString', 'x String')",
	"SELECT * FROM `file`('{FILE}', 'LineAsString')",
	"SELECT * FROM fileCluster('default', '{FILE}', 'LineAsString')",
	"SELECT * FROM url('http://127.0.0.1:{PORT}/', 'LineAsString', 'x String')",
	"SELECT * FROM urlCluster('default', 'http://127.0.0.1:{PORT}/', 'LineAsString', 'x String')",
	"SELECT * FROM s3('http://127.0.0.1:{PORT}/bucket/x', 'CSV', 'x String')",
	"SELECT * FROM s3('http://127.0.0.1:{PORT}/bucket/x', NOSIGN, 'CSV', 'x String')",
	"SELECT * FROM gcs('http://127.0.0.1:{PORT}/bucket/x', NOSIGN, 'CSV', 'x String')",
	"SELECT * FROM hdfs('hdfs://127.0.0.1:{PORT}/x', 'CSV', 'x String')",
	"SELECT * FROM azureBlobStorage('http://127.0.0.1:{PORT}/', 'c', 'b', 'n', 'a2V5', 'CSV', 'auto', 'x String')",
	"SELECT * FROM mysql('127.0.0.1:{PORT}', 'd', 't', 'u', 'p')",
	"SELECT * FROM postgresql('127.0.0.1:{PORT}', 'd', 't', 'u', 'p')",
	"SELECT * FROM mongodb('127.0.0.1:{PORT}', 'd', 't', 'u', 'p', 'x String')",
	"SELECT * FROM redis('127.0.0.1:{PORT}', 'k', 'k String, v String')",
	"SELECT * FROM sqlite('{DIR}/x.db', 't')",
	"SELECT * FROM odbc('DSN=x', 'd', 't')",
	"SELECT * FROM jdbc('jdbc:x://127.0.0.1:{PORT}', 'd', 't')",
	"SELECT * FROM remote('127.0.0.1:{PORT}', system.one)",
	"SELECT * FROM remoteSecure('127.0.0.1:{PORT}', system.one)",
	"SELECT * FROM executable('id', 'TSV', 'x String')",
	"SELECT * FROM iceberg('http://127.0.0.1:{PORT}/x')",
	"SELECT * FROM icebergLocal('{DIR}')",
	"SELECT * FROM deltaLake('http://127.0.0.1:{PORT}/x')",
	"SELECT * FROM deltaLakeLocal('{DIR}')",
	"SELECT * FROM hudi('http://127.0.0.1:{PORT}/x')",
	"SELECT * FROM paimonLocal('{DIR}')",
	"SELECT * FROM filesystem('{DIR}')",
	"SELECT * FROM ytsaurus('http://127.0.0.1:{PORT}', '//x', 't', 'x String')",
	"SELECT * FROM python('x')",
	"SELECT * FROM eval('SELECT file(\\'{FILE}\\')')",
	"SELECT * FROM eval('SELECT file(\\'{FILE}\\')') SETTINGS allow_experimental_eval_table_function = 1",
	"SELECT * FROM view(SELECT file('{FILE}'))",
	"SELECT * FROM cluster('default', view(SELECT file('{FILE}')))",
	"INSERT INTO FUNCTION file('{DIR}/new.txt', 'TSVRaw', 's String') SELECT 'x'",
	"INSERT INTO TABLE FUNCTION file('{DIR}/new.txt', 'TSVRaw', 's String') SELECT 'x'",
	"INSERT INTO FUNCTION file('{DIR}/new.txt', 'TSVRaw', 's String') VALUES ('x')",
	"INSERT INTO FUNCTION file('{DIR}/new.txt', 'TSVRaw', 's String') FORMAT TSV x",
	"INSERT INTO FUNCTION url('http://127.0.0.1:{PORT}/', 'TSV', 's String') SELECT 'x'",
	"INSERT INTO FUNCTION s3('http://127.0.0.1:{PORT}/b/x', NOSIGN, 'TSV', 's String') SELECT 'x'",
	"INSERT INTO FUNCTION remote('127.0.0.1:{PORT}', d.t) SELECT 'x'",
	"INSERT INTO FUNCTION sqlite('{DIR}/x.db', 't') SELECT 'x'",
	"DESCRIBE file('{FILE}', 'LineAsString')",
	"DESCRIBE TABLE url('http://127.0.0.1:{PORT}/', 'CSV')",
	"CREATE TABLE hostile AS file('{FILE}', 'LineAsString')",
	"CREATE TABLE hostile AS url('http://127.0.0.1:{PORT}/', 'CSV', 'x String')",
	"CREATE VIEW hostile AS SELECT * FROM file('{FILE}', 'LineAsString', 'x String')",

	// The scalar function, however it is written.
	"SELECT file('{FILE}')",
	"SELECT `file`('{FILE}')",
	"SELECT \"file\"('{FILE}')",
	"SELECT `f\\x69le`('{FILE}')",
	"SELECT file /* x */ ('{FILE}')",
	"SELECT file /* /* x */ */ ('{FILE}')",
	"SELECT 1 /* /* */ ' */, file('{FILE}') -- '",
	"SELECT 1 // '\n, file('{FILE}') // '",
	"SELECT 1 // $a$\n, file('{FILE}') // $a$",
	"INSERT INTO plain VALUES ('1' // '\n || file('{FILE}')) // '",
	"SELECT file\u00a0('{FILE}')",
	"SELECT \u201cfile\u201d('{FILE}')",
	"SELECT a$b$, file('{FILE}') AS a$b$ FROM (SELECT 1 AS a$b$)",
	"WITH '{FILE}' AS p SELECT file(p)",
	"SELECT * APPLY file FROM (SELECT '{FILE}')",
	"SELECT * APPLY(file) FROM (SELECT '{FILE}')",
	"SELECT COLUMNS('x') APPLY(`file`) FROM (SELECT '{FILE}' AS x)",
	"SELECT arrayMap(x -> file(x), ['{FILE}'])",
	"SELECT {f:Identifier}('{FILE}')",
	"INSERT INTO plain SELECT file('{FILE}')",
	"INSERT INTO plain VALUES (file('{FILE}'))",
	"INSERT INTO plain FORMAT Values (file('{FILE}'))",
	"SELECT * FROM format(Values, 'x String', $$(file('{FILE}'))$$)",
	"CREATE FUNCTION hostile AS p -> file(p)",
	"CREATE VIEW hostile AS SELECT file('{FILE}')",
	"CREATE TABLE hostile (x String DEFAULT file('{FILE}')) ENGINE = MergeTree ORDER BY x",
	"ALTER TABLE plain UPDATE x = file('{FILE}') WHERE 1",
	"ALTER TABLE plain ADD COLUMN y String DEFAULT file('{FILE}')",
	"EXPLAIN SYNTAX SELECT file('{FILE}')",
	"SELECT catboostEvaluate('{FILE}', 1)",
	"SELECT aiGenerate('x') SETTINGS allow_experimental_ai_functions = 1",

	// Table and database engines.
	"CREATE TABLE hostile (x String) ENGINE = File(TSV)",
	"CREATE TABLE hostile (x String) ENGINE = File(TSV, '{FILE}')",
	"CREATE TABLE hostile (x String) ENGINE File(TSV, '{FILE}')",
	"CREATE TABLE hostile (x String) ENGINE = `File`(TSV, '{FILE}')",
	"CREATE TABLE hostile (x String) ENGINE = URL('http://127.0.0.1:{PORT}/', TSV)",
	"CREATE TABLE hostile (x String) ENGINE = S3('http://127.0.0.1:{PORT}/b/x', NOSIGN, TSV)",
	"CREATE TABLE hostile (x String) ENGINE = HDFS('hdfs://127.0.0.1:{PORT}/x', TSV)",
	"CREATE TABLE hostile (x String) ENGINE = MySQL('127.0.0.1:{PORT}', 'd', 't', 'u', 'p')",
	"CREATE TABLE hostile (x String) ENGINE = PostgreSQL('127.0.0.1:{PORT}', 'd', 't', 'u', 'p')",
	"CREATE TABLE hostile (x String) ENGINE = MongoDB('127.0.0.1:{PORT}', 'd', 't', 'u', 'p')",
	"CREATE TABLE hostile (x String) ENGINE = Redis('127.0.0.1:{PORT}') PRIMARY KEY x",
	"CREATE TABLE hostile (x String) ENGINE = SQLite('{DIR}/x.db', 't')",
	"CREATE TABLE hostile (x String) ENGINE = Executable('id', 'TSV')",
	"CREATE TABLE hostile (x String) ENGINE = ExecutablePool('id', 'TSV')",
	"CREATE TABLE hostile (x String) ENGINE = FileLog('{DIR}', 'TSV')",
	"CREATE TABLE hostile (x String) ENGINE = EmbeddedRocksDB(0, '{DIR}/rocks') PRIMARY KEY x",
	"CREATE TABLE hostile (x String) ENGINE = Kafka('127.0.0.1:{PORT}', 't', 'g', 'TSV')",
	"CREATE TABLE hostile (x String) ENGINE = Distributed('default', 'system', 'one')",
	"CREATE TABLE hostile (x String) ENGINE = KeeperMap('/x') PRIMARY KEY x",
	"CREATE TABLE hostile (query String) ENGINE = QueryRunner",
	"CREATE TABLE hostile (x String) ENGINE = IcebergLocal('{DIR}')",
	"CREATE TABLE hostile (x String) ENGINE = ReplicatedMergeTree('/x', 'r') ORDER BY x",
	"CREATE TEMPORARY TABLE hostile (x String) ENGINE = File(TSV, '{FILE}')",
	"CREATE MATERIALIZED VIEW hostile ENGINE = File(TSV, '{DIR}/new.txt') AS SELECT * FROM plain",
	"ATTACH TABLE hostile (x String) ENGINE = File(TSV, '{FILE}')",
	"ATTACH TABLE hostile FROM '{DIR}' (x String) ENGINE = MergeTree ORDER BY x",
	"REPLACE TABLE hostile (x String) ENGINE = File(TSV, '{FILE}')",
	"CREATE TABLE hostile (x String) ENGINE = MergeTree ORDER BY x SETTINGS disk = disk(type = local, path = " +
		"'{DIR}/disk/')",
	"CREATE TABLE hostile (x String) ENGINE = MergeTree ORDER BY x SETTINGS disk = disk(type = web, endpoint = " +
		"'http://127.0.0.1:{PORT}/x/')",
	"CREATE TABLE hostile (x String) ENGINE = MergeTree ORDER BY x SETTINGS disk = disk(type = s3_plain, endpoint = " +
		"'http://127.0.0.1:{PORT}/bucket/x/')",
	"ALTER TABLE plain MODIFY SETTING disk = disk(type = local, path = '{DIR}/disk/')",
	"CREATE DATABASE hostile ENGINE = Filesystem('{DIR}')",
	"CREATE DATABASE hostile ENGINE = MySQL('127.0.0.1:{PORT}', 'd', 'u', 'p')",
	"CREATE DATABASE hostile ENGINE = PostgreSQL('127.0.0.1:{PORT}', 'd', 'u', 'p')",
	"CREATE DATABASE hostile ENGINE = SQLite('{DIR}/x.db')",
	"CREATE DATABASE hostile ENGINE = S3",
	"CREATE DATABASE hostile ENGINE = HDFS",
	"CREATE DATABASE hostile ENGINE = Backup('x', File('{DIR}'))",
	"CREATE DATABASE hostile ENGINE = DataLakeCatalog('http://127.0.0.1:{PORT}') SETTINGS warehouse = 'x'",
	"SELECT 1 PARALLEL WITH CREATE DATABASE hostile ENGINE = Filesystem('{DIR}')",

	// Dictionaries.
	"CREATE DICTIONARY hostile (k UInt64, v String) PRIMARY KEY k SOURCE(FILE(path '{FILE}' format 'TSV')) " +
		"LIFETIME(0) LAYOUT(FLAT())",
	"CREATE DICTIONARY hostile (k UInt64, v String) PRIMARY KEY k SOURCE(HTTP(url 'http://127.0.0.1:{PORT}/' format " +
		"'TSV')) LIFETIME(0) LAYOUT(FLAT())",
	"CREATE DICTIONARY hostile (k UInt64, v String) PRIMARY KEY k SOURCE(EXECUTABLE(command 'touch {DIR}/new.txt' " +
		"format 'TSV')) LIFETIME(0) LAYOUT(FLAT())",
	"CREATE DICTIONARY hostile (k UInt64, v String) PRIMARY KEY k SOURCE(EXECUTABLE_POOL(command 'touch " +
		"{DIR}/new.txt' format 'TSV' size 1)) LIFETIME(0) LAYOUT(FLAT())",
	"CREATE DICTIONARY hostile (k UInt64, v String) PRIMARY KEY k SOURCE(CLICKHOUSE(HOST '127.0.0.1' PORT {PORT} " +
		"TABLE 't')) LIFETIME(0) LAYOUT(FLAT())",
	"CREATE DICTIONARY hostile (k UInt64, v String) PRIMARY KEY k SOURCE(CLICKHOUSE(HOST '192.0.2.1' TABLE 't')) " +
		"LIFETIME(0) LAYOUT(FLAT())",
	"CREATE DICTIONARY hostile (k UInt64, v String) PRIMARY KEY k SOURCE(CLICKHOUSE(host hostName() TABLE 't')) " +
		"LIFETIME(0) LAYOUT(FLAT())",
	"CREATE DICTIONARY hostile (k UInt64, v String) PRIMARY KEY k SOURCE(CLICKHOUSE(QUERY 'SELECT 1, " +
		"file(\\'{FILE}\\')')) LIFETIME(0) LAYOUT(FLAT())",
	"CREATE DICTIONARY hostile (k UInt64, v String) PRIMARY KEY k SOURCE(CLICKHOUSE(QUERY concat('SELECT 1, fi', " +
		"'le(\\'{FILE}\\')'))) LIFETIME(0) LAYOUT(FLAT())",
	"CREATE DICTIONARY hostile (k UInt64, v String) PRIMARY KEY k SOURCE(CLICKHOUSE(QUERY " +
		"reverse(')\\'{FILE}\\'(elif ,1 TCELES'))) LIFETIME(0) LAYOUT(FLAT())",
	"CREATE DICTIONARY hostile (k UInt64, v String) PRIMARY KEY k SOURCE(CLICKHOUSE(QUERY {f:String})) LIFETIME(0) " +
		"LAYOUT(FLAT())",
	"CREATE DICTIONARY hostile (k UInt64, v String) PRIMARY KEY k SOURCE(CLICKHOUSE(TABLE 'one' DB 'system' WHERE " +
		"concat('fi', 'le(\\'{FILE}\\') != 0'))) LIFETIME(0) LAYOUT(FLAT())",
	"CREATE DICTIONARY hostile (k UInt64, v String) PRIMARY KEY k SOURCE(CLICKHOUSE(QUERY $$SELECT 1, " +
		"file('{FILE}')$$)) LIFETIME(0) LAYOUT(FLAT())",
	"CREATE DICTIONARY hostile (k UInt64, v String) PRIMARY KEY k SOURCE(CLICKHOUSE(QUERY 'SELECT 1, " +
		"f\\x69le(\\'{FILE}\\')')) LIFETIME(0) LAYOUT(FLAT())",
	"CREATE DICTIONARY hostile (k UInt64, v String) PRIMARY KEY k SOURCE(CLICKHOUSE(TABLE 'one' DB 'system' WHERE " +
		"'file(\\'{FILE}\\') != 0')) LIFETIME(0) LAYOUT(FLAT())",
	"CREATE DICTIONARY hostile (k UInt64, v String) PRIMARY KEY k SOURCE(MYSQL(HOST '127.0.0.1' PORT {PORT} USER 'u' " +
		"PASSWORD 'p' DB 'd' TABLE 't')) LIFETIME(0) LAYOUT(FLAT())",
	"CREATE DICTIONARY hostile (k UInt64, v String) PRIMARY KEY k SOURCE(POSTGRESQL(HOST '127.0.0.1' PORT {PORT} " +
		"USER 'u' PASSWORD 'p' DB 'd' TABLE 't')) LIFETIME(0) LAYOUT(FLAT())",
	"CREATE DICTIONARY hostile (k UInt64, v String) PRIMARY KEY k SOURCE(MONGODB(HOST '127.0.0.1' PORT {PORT} USER " +
		"'u' PASSWORD 'p' DB 'd' COLLECTION 't')) LIFETIME(0) LAYOUT(FLAT())",
	"CREATE DICTIONARY hostile (k UInt64, v String) PRIMARY KEY k SOURCE(REDIS(HOST '127.0.0.1' PORT {PORT})) " +
		"LIFETIME(0) LAYOUT(FLAT())",
	"CREATE DICTIONARY hostile (k UInt64, v String) PRIMARY KEY k SOURCE(CASSANDRA(HOST '127.0.0.1' PORT {PORT} " +
		"KEYSPACE 'k' COLUMN_FAMILY 't')) LIFETIME(0) LAYOUT(FLAT())",
	"CREATE DICTIONARY hostile (k UInt64, v String) PRIMARY KEY k SOURCE(ODBC(connection_string 'DSN=x' table 't')) " +
		"LIFETIME(0) LAYOUT(FLAT())",
	"CREATE DICTIONARY hostile (k UInt64, v String) PRIMARY KEY k SOURCE(LIBRARY(path '{DIR}/x.so')) LIFETIME(0) " +
		"LAYOUT(FLAT())",
	"CREATE DICTIONARY hostile (k UInt64, v String) PRIMARY KEY k SOURCE(YAMLRegExpTree(PATH '{FILE}')) LIFETIME(0) " +
		"LAYOUT(REGEXP_TREE)",
	"CREATE DICTIONARY hostile (k UInt64, v String) PRIMARY KEY k SOURCE(YTSAURUS(http_proxy_urls " +
		"'http://127.0.0.1:{PORT}' cypress_path '//x' oauth_token 't')) LIFETIME(0) LAYOUT(FLAT())",
	"CREATE OR REPLACE DICTIONARY hostile (k UInt64, v String) PRIMARY KEY k SOURCE(EXECUTABLE(command 'touch " +
		"{DIR}/new.txt' format 'TSV')) LIFETIME(0) LAYOUT(FLAT())",
	"ATTACH DICTIONARY hostile (k UInt64, v String) PRIMARY KEY k SOURCE(EXECUTABLE(command 'touch {DIR}/new.txt' " +
		"format 'TSV')) LIFETIME(0) LAYOUT(FLAT())",
	"CREATE DICTIONARY hostile (k UInt64, v String) PRIMARY KEY k SOURCE(CLICKHOUSE(TABLE 'one' DB 'system')) " +
		"LIFETIME(0) LAYOUT(SSD_CACHE(PATH '{DIR}/ssd' BLOCK_SIZE 4096 {FILE}_SIZE 16777216 READ_BUFFER_SIZE 1048576))",

	// Files by clauses and settings.
	"SELECT 1 INTO OUTFILE '{DIR}/new.txt'",
	"SELECT 1 INTO OUTFILE '{DIR}/new.txt' TRUNCATE FORMAT TSV",
	"EXPLAIN SELECT 1 INTO OUTFILE '{DIR}/new.txt'",
	"INSERT INTO plain SELECT 'x' INTO OUTFILE '{DIR}/new.txt'",
	"INSERT INTO plain FROM INFILE '{FILE}' FORMAT LineAsString",
	"SELECT 1 FORMAT Template SETTINGS format_template_resultset = '{FILE}', format_template_row = '{FILE}'",
	"SELECT 1 AS x FORMAT Protobuf SETTINGS format_schema = '{FILE}:X'",
	"SELECT * FROM format(Protobuf, 'x') SETTINGS format_schema = '{FILE}:X', format_schema_source = 'file'",
	"SELECT 1 AS x FORMAT Protobuf SETTINGS output_format_schema = '{DIR}/new.proto'",
	"SELECT 1 AS x FORMAT CapnProto SETTINGS output_format_schema = '{DIR}/new.capnp'",
	"INSERT INTO plain SETTINGS input_format_record_errors_file_path = '{DIR}/new.txt', " +
		"input_format_allow_errors_num = 9 FORMAT JSONEachRow {x}",
	"SELECT * FROM format(AvroConfluent, 'x String', '\\0\\0\\0\\0\\1x') SETTINGS format_avro_schema_registry_url = " +
		"'http://127.0.0.1:{PORT}/'",
	"SELECT 1 SETTINGS dialect = 'kusto', allow_experimental_kusto_dialect = 1",
	"SET dialect = 'prql'",

	// SQL in texts: settings, structures of tables, data.
	"SELECT 'x' AS x SETTINGS additional_result_filter = 'length(file(\\'{FILE}\\')) = 1'",
	"SELECT * FROM plain SETTINGS additional_table_filters = {'plain': 'length(file(\\'{FILE}\\')) = 1'}",
	"SELECT * FROM format(Values, 'x String', '(file(assumeNotNull(\\'{FILE}\\')))')",
	"SELECT * FROM format(JSONEachRow, 'y Int8, x String DEFAULT file(\\'{FILE}\\')', '{\"y\": 1}')",
	"SELECT x FROM format(JSONEachRow, 'y Int8, x String MATERIALIZED file(\\'{FILE}\\')', '{\"y\": 1}')",
	"SELECT * FROM format(JSONEachRow, $$y Int8, x String DEFAULT file('{FILE}')$$, '{\"y\": 1}')",
	"SELECT * FROM format(JSONEachRow, 'y Int8, x String DEFAULT f\\x69le(\\'{FILE}\\')', '{\"y\": 1}')",
	"SELECT * FROM format(JSONEachRow, 'y Int8, x String DEFAULT fi' || 'le(\\'{FILE}\\')', '{\"y\": 1}')",
	"SELECT * FROM format(JSONEachRow, concat('y Int8, x String DEFAULT fi', 'le(\\'{FILE}\\')'), '{\"y\": 1}')",
	"SELECT * FROM `format`(JSONEachRow, concat('y Int8, x String DEFAULT fi', 'le(\\'{FILE}\\')'), '{\"y\": 1}')",
	"SELECT * FROM plain AS p, format(JSONEachRow, concat('y Int8, x String DEFAULT fi', 'le(\\'{FILE}\\')'), " +
		"'{\"y\": 1}') AS f",
	"SELECT * FROM loop(format(JSONEachRow, concat('y Int8, x String DEFAULT fi', 'le(\\'{FILE}\\')'), '{\"y\": " +
		"1}')) LIMIT 1",
	"CREATE TABLE hostile AS format(JSONEachRow, concat('y Int8, x String DEFAULT fi', 'le(\\'{FILE}\\')'), '{\"y\": " +
		"1}')",
	"CREATE VIEW hostile AS SELECT 'x' AS x SETTINGS additional_result_filter = 'length(file(\\'{FILE}\\')) = 1'",
	"SELECT * FROM format(JSONEachRow, (SELECT 'y Int8, x String DEFAULT fi' || 'le(\\'{FILE}\\')'), '{\"y\": 1}')",
	"SET additional_result_filter = 'length(file(\\'{FILE}\\')) = 1', format_schema_source = 'file'",
	"SET input_format_values_deduce_templates_of_expressions = 1, dialect = 'prql'",

	// What waits for rows that do not come keeps its place for ever.
	"SELECT * FROM input('x String')",
	"SELECT * FROM `INPUT`('x String')",
	"SELECT count() FROM loop(input('x String'))",
	"SELECT * FROM input('x String') FORMAT TSV",
	"INSERT INTO plain SELECT * FROM input('x String')",
	"INSERT INTO plain WITH y AS (SELECT * FROM input('x String')) SELECT * FROM y",
	"INSERT INTO plain SELECT * FROM input('x String') FORMAT TSV\nx\n",
	"WITH 1 AS a INSERT INTO plain SELECT * FROM input('x String') FORMAT TSV",
	"CREATE VIEW hostile AS SELECT * FROM input('x String')",
	"CREATE TABLE hostile ENGINE = MergeTree ORDER BY x AS SELECT * FROM input('x String')",

	// Table functions that the list of forbidden ones does not have.
	"SELECT * FROM icebergLocalCluster('default', '{DIR}')",
	"SELECT * FROM deltaLakeCluster('default', 'http://127.0.0.1:{PORT}/x')",
	"SELECT * FROM arrowstream('{FILE}')",
	"SELECT * FROM cluster('127.0.0.1:{PORT}', system.one)",

	// Tables of the engine's own that interrupt its threads, start a program or read files.
	"SELECT * FROM system.stack_trace",
	"SELECT * FROM `system`.`stack_trace`",
	"SELECT count() FROM merge('system', '^stack_trace$')",
	"SELECT * FROM loop(system.stack_trace) LIMIT 1",
	"UNDROP TABLE system.stack_trace",
	"ATTACH TABLE system.stack_trace",
	"CREATE TABLE system.stack_trace ENGINE = SystemStackTrace",
	"CREATE TABLE hostile ENGINE = SystemStackTrace",
	"SELECT * FROM system.models",
	"SELECT * FROM system.jemalloc_profile_text",
	"SELECT * FROM system.symbols",

	// Backups, users, the server.
	"BACKUP TABLE plain TO File('{DIR}/backup')",
	"BACKUP TABLE plain TO Disk('default', '../../backup')",
	"BACKUP DATABASE default TO S3('http://127.0.0.1:{PORT}/b/x', 'a', 'b')",
	"RESTORE TABLE plain AS hostile FROM File('{DIR}/backup')",
	"RESTORE ALL FROM S3('http://127.0.0.1:{PORT}/b/x', 'a', 'b')",
	"CREATE USER hostile IDENTIFIED BY 'x'",
	"CREATE ROLE hostile",
	"CREATE NAMED COLLECTION hostile AS url = 'http://127.0.0.1:{PORT}/'",
	"CREATE SETTINGS PROFILE hostile SETTINGS dialect = 'kusto'",
	"GRANT ALL ON *.* TO default",
	"GRANT READ ON FILE TO default",
	"REVOKE ALL ON *.* FROM default",
	"EXECUTE AS default SELECT file('{FILE}')",
	"SYSTEM SHUTDOWN",
	"SYSTEM KILL",
	"SYSTEM RELOAD CONFIG",
	"SYSTEM RELOAD USERS",
	"SYSTEM START LISTEN TCP",
	"SYSTEM ENABLE FAILPOINT x",
	"SELECT 1; SELECT file('{FILE}')",
	"SELECT 1 UNION ALL SELECT length(file('{FILE}'))",
}

// TestHostileStatements sends each statement by POST, by GET, and both in a session that keeps something, with the
// kernel's confinement and without it. Whatever comes back, nothing outside is read, written or asked.
func TestHostileStatements(t *testing.T) {
	for name, o := range map[string]store.Options{"confined": {}, "not confined by the kernel": {NoLandlock: true}} {
		t.Run(name, func(t *testing.T) { testHostileStatements(t, storetest.StartWith(t, o)) })
	}
}

func testHostileStatements(t *testing.T, base string) {
	out := newOutside(t)
	run(t, base, "CREATE TABLE plain (x String) ENGINE = MergeTree ORDER BY x")
	fill := strings.NewReplacer("{FILE}", out.secret, "{DIR}", out.dir, "{PORT}", out.port)
	for _, statement := range slices.Concat(hostileStatements, systemStatements) {
		sql := fill.Replace(statement)
		for _, session := range []string{"", "&session_id=kept"} {
			if session != "" {
				run(t, base+"?session_id=kept", "SET max_threads = 2")
			}
			for _, method := range []string{http.MethodPost, http.MethodGet} {
				var r reply
				if method == http.MethodPost {
					r = send(t, method, base+"/?param_f=file"+session, sql)
				} else {
					r = send(t, method, base+"/?param_f=file"+session+"&query="+url.QueryEscape(sql), "")
				}
				if r.status == http.StatusOK {
					t.Errorf("%s%s %s: status 200: %q", method, session, sql, r.body)
				}
				if strings.Contains(r.body, secretText) {
					t.Errorf("%s%s %s: the file was read: %s", method, session, sql, r.body)
				}
			}
		}
		send(t, http.MethodGet, base+"/?session_id=kept&close_session=1&query=SELECT+1", "")
		run(t, base, "DROP DICTIONARY IF EXISTS hostile")
		run(t, base, "DROP TABLE IF EXISTS hostile")
		run(t, base, "DROP DATABASE IF EXISTS hostile")
		if n := out.asked.Swap(0); n > 0 {
			t.Errorf("%s: the port was asked %d times", sql, n)
		}
		if names, err := os.ReadDir(out.dir); err != nil || len(names) != 1 {
			t.Errorf("%s: the directory holds %v, error %v", sql, names, err)
			for _, name := range names {
				if name.Name() != "secret.txt" {
					os.RemoveAll(filepath.Join(out.dir, name.Name()))
				}
			}
		}
	}
	if got := run(t, base, "SELECT count() FROM plain"); got != "0\n" {
		t.Errorf("the table has %s rows", got)
	}
}

// TestHostileRequests puts SQL elsewhere than in the statement, with the kernel's confinement and without it.
func TestHostileRequests(t *testing.T) {
	for name, o := range map[string]store.Options{"confined": {}, "not confined by the kernel": {NoLandlock: true}} {
		t.Run(name, func(t *testing.T) {
			base := storetest.StartWith(t, o)
			out := newOutside(t)
			run(t, base, "CREATE TABLE plain (x String) ENGINE = MergeTree ORDER BY x")
			call := "file(assumeNotNull('" + out.secret + "'))"
			for _, c := range []struct{ name, parameters, sql string }{
				{"a setting", "additional_result_filter=" + url.QueryEscape("length("+call+") = 1"), "SELECT 1 AS x"},
				{"a query parameter", "param_s=" + url.QueryEscape("x String DEFAULT "+
					strings.ReplaceAll(call, "'", `\'`)),
					"SELECT * FROM format(JSONEachRow, {s:String}, '{}')"},
				{"an escaped one", "param_s=" + url.QueryEscape(`x String DEFAULT f\x69le(\'`+out.secret+`\')`),
					"SELECT * FROM format(JSONEachRow, {s:String}, '{}')"},
				{"data longer than a statement may be", "query=" + url.QueryEscape("INSERT INTO plain VALUES"),
					strings.Repeat("('"+strings.Repeat("x", 100)+"'),\n", 4000) + "(" + call + ")"},
			} {
				r := send(t, http.MethodPost, base+"/?"+c.parameters, c.sql)
				if r.status == http.StatusOK || strings.Contains(r.body, secretText) {
					t.Errorf("%s: status %d: %.300s", c.name, r.status, r.body)
				}
			}
			if got := run(t, base, "SELECT countIf(x LIKE '"+secretText+"%') FROM plain"); got != "0\n" {
				t.Error("the file is in the table")
			}
		})
	}
}

// TestGuardLetsThrough has statements that the guard must not take for hostile ones, where it is strictest.
func TestGuardLetsThrough(t *testing.T) {
	base := storetest.StartWith(t, store.Options{NoLandlock: true})
	run(t, base, "CREATE TABLE plain (file String) ENGINE = MergeTree ORDER BY file")
	run(t, base, "CREATE TABLE file (x String) ENGINE = MergeTree ORDER BY x")
	for _, c := range []struct{ sql, want string }{
		{"INSERT INTO plain (file) VALUES ('a'), (upper('b'))", ""},
		{"INSERT INTO file (x) SELECT 'it''s a profile, path: /tmp'", ""},
		{"SELECT count() FROM plain WHERE file IN ('a', 'it''s')", "1\n"},
		{"SELECT format('{} {}', upper('a'), 'b')", "A b\n"},
		{"SELECT 1, format('{} {}', 'a', 'b')", "1\ta b\n"},
		{"SELECT * FROM values('x String', ('a'), ('b'))", "a\nb\n"},
		{"SELECT * FROM format(CSV, 'x String, y UInt8', 'a,1')", "a\t1\n"},
		{"SELECT sum(number) FROM numbers(4)", "6\n"},
		{"SELECT count() FROM merge(currentDatabase(), '^pla.n$')", "2\n"},
		{"SELECT JSONExtractString('{\"a\": \"it''s\"}', 'a')", "it\\'s\n"},
		{"SELECT count() FROM plain SETTINGS additional_result_filter = '1 = 1'", "2\n"},
		{"SELECT 'SELECT x FROM url, file WHERE s3 = 1'", "SELECT x FROM url, file WHERE s3 = 1\n"},
		{"CREATE TABLE note (x String COMMENT 'see file.txt') ENGINE = Log COMMENT 'f'", ""},
		{"CREATE TABLE engines (id String, engine String DEFAULT 'MergeTree', `Engine` LowCardinality(String)) " +
			"ENGINE MergeTree ORDER BY id", ""},
		{"CREATE VIEW engine_names AS SELECT DISTINCT engine FROM engines WHERE engine LIKE 'M%' ORDER BY engine DESC",
			""},
		{"SELECT count() FROM engine_names", "0\n"},
	} {
		if got := run(t, base, c.sql); got != c.want {
			t.Errorf("%s: %q, want %q", c.sql, got, c.want)
		}
	}
}

// TestReadonlyInASession sends what changes something to a session that has a connection of its own, in requests that
// may only read.
func TestReadonlyInASession(t *testing.T) {
	base := storetest.Start(t)
	run(t, base, "CREATE TABLE plain (x String) ENGINE = MergeTree ORDER BY x")
	run(t, base+"?session_id=s", "CREATE TEMPORARY TABLE mine (x String)")
	for _, sql := range []string{
		"INSERT INTO plain SELECT 'x'", "INSERT INTO plain VALUES ('x')", "INSERT INTO mine SELECT 'x'",
		"WITH 1 AS a INSERT INTO plain SELECT 'x'", "/* SELECT */ INSERT INTO plain SELECT 'x'",
		"SELECT 1 PARALLEL WITH DROP TABLE plain", "CREATE TABLE other (x Int8) ENGINE = Log", "DROP TABLE plain",
		"DELETE FROM plain WHERE 1", "SET max_threads = 1", "USE system", "KILL QUERY WHERE 1", "OPTIMIZE TABLE plain",
		"SYSTEM STOP MERGES", "/* /* */ SELECT ' */ DROP TABLE plain -- '",
	} {
		for name, r := range map[string]reply{
			"GET":        send(t, http.MethodGet, base+"/?session_id=s&query="+url.QueryEscape(sql), ""),
			"readonly=1": send(t, http.MethodPost, base+"/?session_id=s&readonly=1", sql),
			"readonly=2": send(t, http.MethodPost, base+"/?session_id=s&readonly=2", sql),
		} {
			if r.status == http.StatusOK {
				t.Errorf("%s %s: status 200: %q", name, sql, r.body)
			}
		}
	}
	if got := run(t, base+"?session_id=s",
		"SELECT (SELECT count() FROM plain), (SELECT count() FROM mine)"); got != "0\t0\n" {
		t.Errorf("rows %q", got)
	}
}
