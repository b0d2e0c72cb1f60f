"""clickhouse-connect, ClickHouse's own Python client, with its defaults against a local store.

usage: python.py HOST PORT PASSWORD FLOW_TABLE

FLOW_TABLE has the columns of data_flow. Each check prints "ok NAME" or "FAIL NAME: why"; the exit code is 1 with a failure.
"""
import asyncio
import datetime
import decimal
import ipaddress
import sys
import threading
import time
import traceback
import uuid

import clickhouse_connect
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_connect.driver.external import ExternalData

host, port, password, flow_table = sys.argv[1:5]
checks = []


def check(f):
    checks.append(f)
    return f


def client(**options):
    return clickhouse_connect.get_client(host=host, port=int(port), username="default", password=password, **options)


c = client()

COLUMNS = [
    ("n", "UInt64", 7), ("i", "Int32", -5), ("f", "Float64", 1.5), ("b", "Bool", True), ("s", "String", "grüße"),
    ("fs", "FixedString(2)", b"ab"), ("lc", "LowCardinality(String)", "x"), ("nu", "Nullable(String)", None),
    ("d", "Date", datetime.date(2026, 5, 4)), ("dt", "DateTime('UTC')", datetime.datetime(2026, 5, 4, 1, 2, 3)),
    ("dt64", "DateTime64(3, 'UTC')", datetime.datetime(2026, 5, 4, 1, 2, 3, 123000)),
    ("ip4", "IPv4", ipaddress.ip_address("192.0.2.1")), ("ip6", "IPv6", ipaddress.ip_address("2001:db8::1")),
    ("a", "Array(UInt16)", [1, 2]), ("al", "Array(LowCardinality(String))", ["p", "q"]),
    ("t", "Tuple(String, UInt32)", ("k", 3)), ("m", "Map(String, UInt64)", {"k": 4}), ("u", "UUID", uuid.UUID(int=9)),
    ("e", "Enum8('one' = 1, 'two' = 2)", "two"), ("dec", "Decimal(18, 4)", decimal.Decimal("1.2500")),
    ("j", "JSON(vlan UInt16)", {"vlan": 10, "more": "x"}),
]


def same(got, want):
    if isinstance(want, datetime.datetime) and getattr(got, "tzinfo", None):
        got = got.replace(tzinfo=None)
    if isinstance(want, dict):
        return {k: str(v) for k, v in got.items()} == {k: str(v) for k, v in want.items()}
    return got == want or str(got) == str(want)


@check
def inserts_of_all_types_with_each_compression():
    for compress in (True, False, "lz4", "zstd", "gzip"):
        each = client(compress=compress)
        each.command("DROP TABLE IF EXISTS types")
        each.command("CREATE TABLE types (" + ", ".join(f"{n} {t}" for n, t, _ in COLUMNS) + ") ENGINE = MergeTree ORDER BY n")
        summary = each.insert("types", [[v for _, _, v in COLUMNS]] * 3, column_names=[n for n, _, _ in COLUMNS])
        assert summary.written_rows == 3, (compress, summary.summary)
        rows = each.query("SELECT * FROM types").result_rows
        assert len(rows) == 3, (compress, rows)
        for (name, kind, want), got in zip(COLUMNS, rows[0]):
            assert same(got, want), (compress, name, kind, got, want)


@check
def the_flow_table():
    """every type of data_flow: one row made by the server, read, inserted again as read, and read again"""
    described = c.query(f"DESCRIBE TABLE {flow_table}").result_rows
    names = [r[0] for r in described if r[2] not in ("ALIAS", "MATERIALIZED", "EPHEMERAL")]
    c.command("DROP TABLE IF EXISTS flow_copy")
    c.command(f"CREATE TABLE flow_copy AS {flow_table}")
    c.command("INSERT INTO flow_copy (start_time, end_time, src_ip, dst_ip, bit_count, ext) SELECT now64(3), now64(3),"
              " toIPv6('2001:db8::1'), toIPv6('::ffff:192.0.2.1'), 1, '{\"mpls_label\":[1,2],\"other\":\"x\"}'")
    # A typed table forgets a dynamic path only if the client loses it.
    columns = ", ".join(f"`{n}`" for n in names)
    first = c.query(f"SELECT {columns} FROM flow_copy").result_rows
    assert len(first) == 1, first
    c.insert("flow_copy", first, column_names=names)
    rows = c.query(f"SELECT {columns} FROM flow_copy").result_rows
    assert len(rows) == 2, len(rows)
    for name, a, b in zip(names, *rows):
        assert str(a) == str(b), (name, a, b)


@check
def parameters_of_both_kinds():
    r = c.query("SELECT {a:UInt32} + 1, {s:String}, {l:Array(String)}", parameters={"a": 1, "s": "it's \\ \n", "l": ["x", "y'"]})
    assert r.first_row == (2, "it's \\ \n", ["x", "y'"]), r.first_row
    assert c.query("SELECT %(a)s, %(d)s", parameters={"a": "q'", "d": datetime.date(2026, 5, 4)}).first_row[0] == "q'"


@check
def errors_have_code_and_text():
    try:
        c.query("SELECT * FROM nowhere")
    except DatabaseError as e:
        assert "60" in str(e) and "UNKNOWN_TABLE" in str(e), e
    else:
        raise AssertionError("no error")
    try:
        list(c.query("SELECT throwIf(number = 3000000) FROM numbers(5000000)", settings={"max_block_size": 65536}).result_rows)
    except Exception as e:
        assert "395" in str(e) or "throwIf" in str(e), e
    else:
        raise AssertionError("no error in the middle of a result")


@check
def streams():
    n = 0
    with c.query_row_block_stream("SELECT number, toString(number) FROM numbers(500000)", settings={"max_block_size": 10000}) as s:
        for block in s:
            n += len(block)
    assert n == 500000, n


@check
def frames_and_arrow():
    import pandas
    frame = pandas.DataFrame({"id": [1, 2], "who": ["a", "b"]})
    c.command("DROP TABLE IF EXISTS frames")
    c.command("CREATE TABLE frames (id UInt64, who String) ENGINE = MergeTree ORDER BY id")
    c.insert_df("frames", frame)
    table = c.query_arrow("SELECT * FROM frames ORDER BY id")
    assert table.num_rows == 2, table
    c.insert_arrow("frames", table)
    assert len(c.query_df("SELECT * FROM frames")) == 4


@check
def raw_formats():
    c.command("DROP TABLE IF EXISTS raw")
    c.command("CREATE TABLE raw (id UInt64, who String) ENGINE = MergeTree ORDER BY id")
    c.raw_insert("raw", insert_block=b"1,one\n2,two\n", fmt="CSV", column_names=["id", "who"])
    c.raw_insert("raw", insert_block=b'{"id":3,"who":"three"}\n', fmt="JSONEachRow")
    for fmt, want in (("TSV", b"1\tone"), ("JSONEachRow", b'"who":"one"'), ("JSON", b'"rows": 3'), ("CSVWithNames", b'"id","who"')):
        got = c.raw_query("SELECT * FROM raw ORDER BY id", fmt=fmt)
        assert want in got, (fmt, got)
    assert c.raw_query("SELECT * FROM raw", fmt="Parquet")[:4] == b"PAR1"
    assert c.raw_query("SELECT * FROM raw", fmt="ORC")[:3] == b"ORC"


@check
def sessions_keep_temporary_tables_and_settings():
    c.command("CREATE TEMPORARY TABLE mine (x UInt8)")
    c.insert("mine", [[1], [2]], column_names=["x"], column_type_names=["UInt8"])
    assert c.query("SELECT sum(x) FROM mine").first_row == (3,)
    c.command("SET max_threads = 1")
    assert str(c.query("SELECT getSetting('max_threads')").first_row[0]) == "1"
    other = client()
    try:
        other.query("SELECT * FROM mine")
    except DatabaseError as e:
        assert "60" in str(e), e
    else:
        raise AssertionError("another session sees the table")


@check
def external_data():
    data = ExternalData(file_name="people.csv", fmt="CSV", structure=["id UInt64", "name String"], data=b"1,ann\n2,bob\n")
    r = c.query("SELECT name FROM people WHERE id = {n:UInt64}", external_data=data, parameters={"n": 2})
    assert r.first_row == ("bob",), r.result_rows
    data.add_file(file_name="more.tsv", fmt="TSV", types=["UInt64", "String"], data=b"7\tseven\n")
    r = c.query("SELECT count(), max(_1) FROM more CROSS JOIN people", external_data=data)
    assert r.first_row == (2, 7), r.result_rows


@check
def summary_and_query_id():
    r = c.query("SELECT count() FROM numbers(1000)", settings={"query_id": "my-query"})
    assert r.query_id == "my-query", r.query_id
    assert "read_rows" in r.summary, r.summary
    s = c.command("SELECT 1")
    assert s == 1, s


@check
def server_facts():
    assert c.server_version.count(".") >= 2, c.server_version
    assert c.ping()
    assert c.command("SELECT timezone()")
    assert c.query("SELECT name FROM system.settings LIMIT 3").row_count == 3
    assert c.query("SHOW TABLES").row_count > 0


@check
def a_statement_is_killed_by_its_query_id():
    failure = []
    worker = client()

    def run():
        try:
            worker.query("SELECT count() FROM numbers(9000000000) WHERE NOT ignore(sipHash64(number))", settings={"query_id": "to-kill", "max_threads": 1})
        except Exception as e:
            failure.append(str(e))

    t = threading.Thread(target=run, daemon=True)
    t.start()
    deadline = time.time() + 120
    while t.is_alive() and time.time() < deadline:
        client().command("KILL QUERY WHERE query_id = 'to-kill'")
        t.join(0.5)
    assert failure and "394" in failure[0], failure


@check
def the_metranova_api():
    """the statements that the MetrANOVA API sends: a definition, its tables, records, changes, deletion"""
    c.command("CREATE DATABASE IF NOT EXISTS {db:Identifier}", parameters={"db": "metranova_api"})
    api = client(database="metranova_api")
    api.command("CREATE TABLE IF NOT EXISTS definition (id String, slug String, type LowCardinality(String), fields Array(Tuple(name String, type String)),"
                " created_at DateTime64(3) DEFAULT now64(3), updated_at DateTime64(3) DEFAULT now64(3)) ENGINE = CoalescingMergeTree ORDER BY id")
    api.insert("definition", [["1", "site", "metadata", [("name", "String"), ("n", "UInt8")]]], column_names=["id", "slug", "type", "fields"])
    assert api.query("SELECT slug, fields FROM definition WHERE id = {id:String}", parameters={"id": "1"}).first_row[0] == "site"
    api.command("CREATE TABLE IF NOT EXISTS {t:Identifier} (id String, ref String, hash String, n Nullable(UInt8), tag LowCardinality(Nullable(String)),"
                " at DateTime DEFAULT now()) ENGINE = MergeTree ORDER BY id TTL at + INTERVAL 5 YEAR", parameters={"t": "meta_site"})
    assert api.command("EXISTS TABLE meta_site") == 1
    api.insert("meta_site", [["a", "a__v1", "h", 1, None], ["b", "b__v1", "h", None, "t"]], column_names=["id", "ref", "hash", "n", "tag"])
    api.command("ALTER TABLE meta_site ADD COLUMN IF NOT EXISTS `more` Nullable(String)")
    api.command("ALTER TABLE meta_site UPDATE n = 9 WHERE id = {id:String} SETTINGS mutations_sync = 1", parameters={"id": "a"})
    assert api.query("SELECT n FROM meta_site WHERE id = 'a'").first_row == (9,)
    api.command("DELETE FROM meta_site WHERE id = 'b'")
    api.command("ALTER TABLE meta_site DELETE WHERE id = 'a' SETTINGS mutations_sync = 1")
    assert api.query("SELECT count() FROM meta_site").first_row == (0,)
    for statement in ("SELECT name FROM system.data_type_families LIMIT 1", "SELECT * FROM system.clusters LIMIT 1",
                      "SELECT name, type FROM system.columns WHERE database = 'metranova_api' AND table = 'meta_site'",
                      "SELECT engine FROM system.tables WHERE database = currentDatabase()", "SHOW CREATE TABLE meta_site", "DESCRIBE TABLE definition"):
        api.query(statement)
    api.command("ALTER TABLE meta_site DROP COLUMN more")
    api.command("TRUNCATE TABLE meta_site")
    api.command("DROP TABLE meta_site")
    api.command("DROP DATABASE metranova_api")


@check
def the_metranova_api_as_it_calls():
    """the rest of its 22 calls, in its way: an asynchronous client, %s parameters, names as parameters, versions of records"""
    database = "metranova_calls"
    client().command(f"CREATE DATABASE IF NOT EXISTS {database}")

    async def calls():
        api = await clickhouse_connect.get_async_client(host=host, port=int(port), username="default", password=password, database=database, verify=False)
        assert await api.ping()
        assert int((await api.query(f"EXISTS TABLE {database}.definition")).result_rows[0][0]) == 0
        await api.command(f"""
            CREATE TABLE IF NOT EXISTS {database}.definition
            (
                id String, ref String, name String, kind Enum8('data' = 1, 'metadata' = 2), config String,
                fields Array(Tuple(field String, type String, nullable Bool)), identifier Array(String), ttl String,
                engine String DEFAULT 'CoalescingMergeTree', replicated Bool DEFAULT true, updated_at DateTime DEFAULT now()
            )
            ENGINE = MergeTree()
            ORDER BY ref
        """)
        assert int((await api.query(f"EXISTS TABLE {database}.definition")).result_rows[0][0]) == 1
        await api.insert(database=database, table="definition", column_names=["id", "ref", "name", "kind", "config", "fields", "identifier", "ttl", "replicated"],
                         data=[["def_site", "def_site__v1", "Site", "metadata", "{}", [("name", "String", False), ("size", "UInt8", True)], ["name"], "", False]])
        one = list((await api.query(f"SELECT name, kind, fields, identifier, engine, replicated, updated_at FROM `{database}`.`definition`"
                                    " WHERE kind = 'metadata' and id = {id:String} ORDER BY updated_at DESC LIMIT 1", parameters={"id": "def_site"})).named_results())
        assert one[0]["kind"] == "metadata" and one[0]["fields"][1]["nullable"] is True and one[0]["engine"] == "CoalescingMergeTree", one
        assert one[0]["replicated"] is False and one[0]["identifier"] == ["name"], one

        await api.command(f"""
        CREATE TABLE `{database}`.`meta_site` (
            id String NOT NULL, ref String NOT NULL, hash String NOT NULL, created_at DateTime DEFAULT now() NOT NULL,
            updated_at DateTime DEFAULT now() NOT NULL, tag Array(LowCardinality(String)), policy_level LowCardinality(String) NOT NULL,
            `name` String NOT NULL, `size` UInt8, ext JSON
        )
        ENGINE = CoalescingMergeTree()
        ORDER BY (id, `name`)
        PRIMARY KEY (id, `name`)
        PARTITION BY toYYYYMM(created_at);
        """)
        for version, size in ((1, 4), (2, 5)):
            at = datetime.datetime(2026, 5, 4, 1, version)
            await api.insert(database=database, table="meta_site", column_names=["id", "ref", "hash", "created_at", "updated_at", "tag", "policy_level", "name", "size", "ext"],
                             data=[["x", f"x__v{version}", "h", at, at, ["a"], "tlp:green", "x", size, {}]])
        history = await api.query(f"""
            SELECT * FROM `{database}`.`meta_site` WHERE (id, updated_at) IN (
                SELECT id, max(updated_at) FROM `{database}`.`meta_site` WHERE id=%s GROUP BY (id, created_at)
            ) ORDER BY created_at DESC
            """, parameters=["x"])
        assert [r["ref"] for r in history.named_results()] == ["x__v2", "x__v1"]
        latest = await api.query("""
            SELECT t.* FROM {db:Identifier}.{table:Identifier} t
            INNER JOIN (
                SELECT id, max(created_at) AS latest FROM {db:Identifier}.{table:Identifier} GROUP BY id
            ) l ON t.id = l.id AND t.created_at = l.latest
            """, parameters={"db": database, "table": "meta_site"})
        assert latest.row_count == 1 and next(latest.named_results())["size"] == 5
        await api.command(f"ALTER TABLE `{database}`.`meta_site` ADD COLUMN `more` String NOT NULL")
        await api.command(f"ALTER TABLE `{database}`.`meta_site` DROP COLUMN `more`")

        await api.command(f"CREATE TABLE IF NOT EXISTS `{database}`.`transformer_column` (id String, `match` Nullable(String), `order` UInt32) ENGINE = MergeTree ORDER BY id")
        await api.insert(database=database, table="transformer_column", column_names=["id", "match", "order"], data=[["b", None, 2], ["a", "m", 1]])
        rows = await api.query(f"SELECT id, `match`, `order` FROM `{database}`.`transformer_column` WHERE id LIKE {{id:String}} ORDER BY `order`, id", parameters={"id": "%"})
        assert rows.result_rows == [("a", "m", 1), ("b", None, 2)], rows.result_rows
        await api.command(f"DROP TABLE IF EXISTS `{database}`.`meta_site`")
        await api.command(f"DELETE FROM `{database}`.`definition` WHERE id = %s AND kind = 'metadata'", parameters=["def_site"])
        assert (await api.query(f"SELECT count() FROM `{database}`.`definition`")).first_row == (0,)
        closed = api.close()
        if closed is not None:
            await closed

    asyncio.run(calls())
    client().command(f"DROP DATABASE {database}")


failed = 0
for f in checks:
    try:
        f()
        print("ok", f.__name__, flush=True)
    except Exception as e:
        failed += 1
        print(f"FAIL {f.__name__}: {type(e).__name__}: {e}".replace("\n", " ")[:2000], flush=True)
        if "-v" in sys.argv:
            traceback.print_exc()
sys.exit(failed > 0)
