// ClickHouse's Java client and JDBC driver, with their defaults against a local store.
//
// usage: java -cp 'DIRECTORY/*' Clients.java HOST:PORT PASSWORD FLOW_TABLE, where DIRECTORY has the libraries of pom.xml
//
// Each check prints "ok NAME" or "FAIL NAME: why"; the exit code is 1 with a failure.

import com.clickhouse.client.api.Client;
import com.clickhouse.client.api.insert.InsertResponse;
import com.clickhouse.client.api.query.GenericRecord;
import com.clickhouse.client.api.query.QueryResponse;
import com.clickhouse.client.api.query.QuerySettings;
import com.clickhouse.data.ClickHouseFormat;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.TimeUnit;

public class Clients {
    interface Check { void run() throws Exception; }

    static int failed;

    static void check(String name, Check c) {
        try {
            c.run();
            System.out.println("ok " + name);
        } catch (Throwable e) {
            failed++;
            StringBuilder s = new StringBuilder("FAIL " + name + ":");
            for (Throwable t = e; t != null; t = t.getCause()) s.append(" ").append(t).append(";");
            System.out.println(s.toString().replace('\n', ' '));
        }
    }

    static void same(Object want, Object got) {
        if (!want.equals(got)) throw new AssertionError("got " + got + ", want " + want);
    }

    public static void main(String[] args) throws Exception {
        String address = args[0], password = args[1], flow = args[2];
        try (Client c = new Client.Builder().addEndpoint("http://" + address).setUsername("default").setPassword(password).build()) {
            check("client: ping", () -> same(true, c.ping()));
            check("client: insert and read", () -> {
                c.execute("CREATE OR REPLACE TABLE java (id UInt64, who LowCardinality(String), ip IPv6, tags Array(String), m Map(String, UInt64), maybe Nullable(String)) ENGINE = MergeTree ORDER BY id").get(60, TimeUnit.SECONDS);
                byte[] data = "{\"id\":1,\"who\":\"gr\u00fc\u00dfe\",\"ip\":\"2001:db8::1\",\"tags\":[\"a\"],\"m\":{\"k\":2}}\n".getBytes(StandardCharsets.UTF_8);
                for (int i = 0; i < 2; i++) {
                    try (InsertResponse r = c.insert("java", new ByteArrayInputStream(data), ClickHouseFormat.JSONEachRow).get(60, TimeUnit.SECONDS)) {
                        same(1L, r.getWrittenRows());
                    }
                }
                List<GenericRecord> all = c.queryAll("SELECT * FROM java");
                same(2, all.size());
                same("gr\u00fc\u00dfe", all.get(0).getString("who"));
                same(1L, all.get(0).getLong("id"));
            });
            check("client: the flow table", () -> {
                c.execute("CREATE OR REPLACE TABLE java_flow AS " + flow).get(60, TimeUnit.SECONDS);
                c.execute("INSERT INTO java_flow (start_time, src_ip, bit_count) SELECT now64(3), toIPv6('2001:db8::1'), 8").get(60, TimeUnit.SECONDS);
                List<GenericRecord> all = c.queryAll("SELECT * EXCEPT ext FROM java_flow");
                same(1, all.size());
                same(8L, all.get(0).getLong("bit_count"));
            });
            check("client: parameters", () -> {
                try (QueryResponse r = c.query("SELECT {s:String} AS s, {n:UInt32} AS n", Map.of("s", "it's", "n", 7), new QuerySettings()).get(60, TimeUnit.SECONDS)) {
                    var reader = c.newBinaryFormatReader(r);
                    reader.next();
                    same("it's", reader.getString("s"));
                }
            });
            check("client: query id and summary", () -> {
                QuerySettings s = new QuerySettings().setQueryId("java-1");
                try (QueryResponse r = c.query("SELECT number FROM numbers(1000)", s).get(60, TimeUnit.SECONDS)) {
                    same("java-1", r.getQueryId());
                }
            });
            check("client: errors", () -> {
                try {
                    c.queryAll("SELECT * FROM nowhere");
                } catch (Exception e) {
                    for (Throwable t = e; t != null; t = t.getCause()) if (String.valueOf(t.getMessage()).contains("UNKNOWN_TABLE")) return;
                    throw e;
                }
                throw new AssertionError("no error");
            });
        }

        Properties p = new Properties();
        p.put("user", "default");
        p.put("password", password);
        try (Connection db = DriverManager.getConnection("jdbc:clickhouse://" + address + "/default", p)) {
            check("jdbc: table, batch, read", () -> {
                try (Statement s = db.createStatement()) {
                    s.execute("CREATE OR REPLACE TABLE jdbc (id UInt64, who String, at DateTime, d Decimal(18, 4), tags Array(String), ip IPv4, b Bool) ENGINE = MergeTree ORDER BY id");
                }
                try (PreparedStatement s = db.prepareStatement("INSERT INTO jdbc (id, who, at, d, b) VALUES (?, ?, ?, ?, ?)")) {
                    for (int i = 0; i < 3; i++) {
                        s.setLong(1, i);
                        s.setString(2, "it's " + i);
                        s.setTimestamp(3, java.sql.Timestamp.valueOf("2026-05-04 01:02:03"));
                        s.setBigDecimal(4, new java.math.BigDecimal("1.25"));
                        s.setBoolean(5, true);
                        s.addBatch();
                    }
                    same(3, s.executeBatch().length);
                }
                try (PreparedStatement s = db.prepareStatement("SELECT * FROM jdbc WHERE id >= ? ORDER BY id")) {
                    s.setInt(1, 1);
                    try (ResultSet r = s.executeQuery()) {
                        int n = 0;
                        while (r.next()) {
                            n++;
                            same("it's " + n, r.getString("who"));
                            same(0, new java.math.BigDecimal("1.25").compareTo(r.getBigDecimal("d")));
                        }
                        same(2, n);
                    }
                }
            });
            check("jdbc: metadata", () -> {
                try (ResultSet r = db.getMetaData().getTables(null, "default", "jdbc", null)) {
                    same(true, r.next());
                }
                try (ResultSet r = db.getMetaData().getColumns(null, "default", flow, null)) {
                    int n = 0;
                    while (r.next()) n++;
                    if (n < 40) throw new AssertionError(n + " columns of " + flow);
                }
                same(true, db.isValid(30));
            });
            check("jdbc: errors", () -> {
                try (Statement s = db.createStatement()) {
                    s.executeQuery("SELECT * FROM nowhere");
                } catch (SQLException e) {
                    if (!e.getMessage().contains("UNKNOWN_TABLE")) throw e; // the driver leaves getErrorCode at 0
                    return;
                }
                throw new AssertionError("no error");
            });
            check("jdbc: cancel", () -> {
                Statement s = db.createStatement();
                Thread t = new Thread(() -> {
                    try {
                        s.executeQuery("SELECT count() FROM numbers(9000000000) WHERE NOT ignore(sipHash64(number))");
                    } catch (SQLException e) {
                        // expected
                    }
                });
                t.setDaemon(true);
                t.start();
                for (int i = 0; i < 240 && t.isAlive(); i++) {
                    t.join(500);
                    s.cancel();
                }
                same(false, t.isAlive());
            });
        }
        System.exit(failed > 0 ? 1 : 0);
    }
}
