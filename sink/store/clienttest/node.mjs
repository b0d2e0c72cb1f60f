// @clickhouse/client, ClickHouse's own client for Node, with its defaults against a local store.
//
// usage: node node.mjs URL PASSWORD FLOW_TABLE DIRECTORY, where DIRECTORY has node_modules
//
// Each check prints "ok NAME" or "FAIL NAME: why"; the exit code is 1 with a failure.
import { createRequire } from "node:module";
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import path from "node:path";

const [url, password, flowTable, directory] = process.argv.slice(2);
const { createClient } = createRequire(path.join(directory, "x.js"))("@clickhouse/client");
const client = createClient({ url, password });
const rows = async (query, more = {}) => (await client.query({ query, format: "JSONEachRow", ...more })).json();

const checks = {
  async ping() {
    assert.equal((await client.ping()).success, true);
  },
  async "inserts and reads with and without compression"() {
    for (const compression of [{}, { request: true, response: true }]) {
      const c = createClient({ url, password, compression });
      await c.command({ query: "CREATE OR REPLACE TABLE node (id UInt64, who LowCardinality(String), at DateTime64(3), ip IPv6, tags Array(String), m Map(String, UInt64), j JSON) ENGINE = MergeTree ORDER BY id" });
      const row = { id: "1", who: "grüße", at: "2026-05-04 01:02:03.123", ip: "2001:db8::1", tags: ["a"], m: { k: "2" }, j: { vlan: "10" } };
      const answer = await c.insert({ table: "node", values: [row, row], format: "JSONEachRow" });
      assert.equal(answer.executed, true);
      assert.equal(answer.summary?.written_rows, "2");
      await c.insert({ table: "node", columns: ["id", "who"], values: Readable.from([[2, "x"], [3, "y"]], { objectMode: true }), format: "JSONCompactEachRow" });
      const got = await (await c.query({ query: "SELECT * FROM node ORDER BY id LIMIT 1", format: "JSONEachRow" })).json();
      assert.equal(got[0].who, row.who);
      assert.equal(String(got[0].id), "1");
      assert.deepEqual(got[0].tags, ["a"]);
      await c.close();
    }
  },
  async "the same rows twice are there twice"() {
    await client.command({ query: "CREATE OR REPLACE TABLE twice (id UInt64) ENGINE = MergeTree ORDER BY id" });
    for (let i = 0; i < 2; i++) await client.insert({ table: "twice", values: [{ id: 1 }], format: "JSONEachRow" });
    assert.equal(String((await rows("SELECT count() AS n FROM twice"))[0].n), "2");
  },
  async "the flow table"() {
    await client.command({ query: `CREATE OR REPLACE TABLE node_flow AS ${flowTable}` });
    await client.command({ query: `INSERT INTO node_flow (start_time, src_ip, ext) SELECT now64(3), toIPv6('2001:db8::1'), '{"vlan_id":7}'` });
    const first = await rows("SELECT * FROM node_flow");
    await client.insert({ table: "node_flow", values: first, format: "JSONEachRow" });
    const both = await rows("SELECT * FROM node_flow");
    assert.equal(both.length, 2);
    assert.deepEqual(both[0], both[1]);
  },
  async "parameters"() {
    const got = await rows("SELECT {a:UInt32} AS a, {s:String} AS s, {l:Array(String)} AS l", { query_params: { a: 7, s: "it's \\ \n \t", l: ["x'", "y"] } });
    assert.deepEqual(got, [{ a: 7, s: "it's \\ \n \t", l: ["x'", "y"] }]);
  },
  async "errors"() {
    await assert.rejects(() => rows("SELECT * FROM nowhere"), (e) => e.code === "60" && e.type === "UNKNOWN_TABLE");
    await assert.rejects(async () => {
      const result = await client.query({ query: "SELECT throwIf(number = 3000000) FROM numbers(5000000)", format: "JSONEachRow", clickhouse_settings: { max_block_size: "65536" } });
      for await (const _ of result.stream());
    });
  },
  async "streams"() {
    let n = 0;
    const result = await client.query({ query: "SELECT number FROM numbers(300000)", format: "JSONEachRow" });
    for await (const block of result.stream()) n += block.length;
    assert.equal(n, 300000);
  },
  async "sessions"() {
    const c = createClient({ url, password, session_id: "node-session" });
    await c.command({ query: "CREATE TEMPORARY TABLE mine (x UInt8)" });
    await c.insert({ table: "mine", values: [{ x: 3 }], format: "JSONEachRow" });
    assert.deepEqual(await (await c.query({ query: "SELECT x FROM mine", format: "JSONEachRow" })).json(), [{ x: 3 }]);
    await assert.rejects(() => rows("SELECT * FROM mine"));
    await c.close();
  },
  async "cancel"() {
    const abort = new AbortController();
    const id = "node-abort";
    const running = client.query({ query: "SELECT count() FROM numbers(9000000000) WHERE NOT ignore(sipHash64(number))", query_id: id, abort_signal: abort.signal, clickhouse_settings: { max_threads: 1, log_comment: "node-abort" } });
    running.catch(() => {});
    const processes = async () => Number((await rows("SELECT count() AS n FROM system.processes WHERE query LIKE '%sipHash64(number)%' AND query NOT LIKE '%system.processes%'"))[0].n);
    const until = async (want) => {
      for (const end = Date.now() + 120_000; Date.now() < end; await new Promise((r) => setTimeout(r, 100))) if ((await processes()) === want) return;
      assert.fail("still not " + want);
    };
    await until(1);
    abort.abort();
    await assert.rejects(running);
    await until(0);
  },
  async "query ids, progress and the summary"() {
    const result = await client.query({ query: "SELECT 1 AS one", query_id: "node-1", format: "JSON", clickhouse_settings: { send_progress_in_http_headers: 1, wait_end_of_query: 1 } });
    assert.equal(result.query_id, "node-1");
    assert.ok(result.response_headers["x-clickhouse-summary"]);
    assert.ok(result.response_headers["x-clickhouse-progress"]);
    assert.equal((await result.json()).rows, 1);
  },
  async "formats"() {
    for (const format of ["JSON", "JSONCompact", "JSONStrings", "JSONObjectEachRow", "JSONColumnsWithMetadata"]) await (await client.query({ query: "SELECT 1 AS one", format })).json();
    for (const format of ["CSV", "CSVWithNames", "TabSeparated", "TabSeparatedWithNamesAndTypes", "Parquet"]) {
      const r = await client.exec({ query: "SELECT 1 AS one FORMAT " + format });
      let size = 0;
      for await (const chunk of r.stream) size += chunk.length;
      assert.ok(size > 0, format);
    }
    await client.insert({ table: "twice", values: Readable.from(["5\n6\n"], { objectMode: false }), format: "CSV" });
  },
};

let failed = 0;
for (const [name, f] of Object.entries(checks)) {
  try {
    await f();
    console.log("ok", name);
  } catch (e) {
    failed++;
    console.log(`FAIL ${name}: ${String(e?.stack ?? e).replaceAll("\n", " ").slice(0, 1500)}`);
  }
}
await client.close();
process.exit(failed > 0 ? 1 : 0);
