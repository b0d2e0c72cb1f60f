//! clickhouse-rs, ClickHouse's own Rust client, with its defaults against a local store.
//!
//! usage: clienttest URL PASSWORD FLOW_TABLE
//!
//! Each check prints "ok NAME" or "FAIL NAME: why"; the exit code is 1 with a failure.

use clickhouse::{sql::Identifier, Client, Compression, Row};
use serde::{Deserialize, Serialize};
use std::net::Ipv6Addr;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Row, Serialize, Deserialize)]
struct Record {
    id: u64,
    who: String,
    small: i32,
    share: f64,
    yes: bool,
    maybe: Option<u16>,
    address: Ipv6Addr,
    tags: Vec<String>,
    pair: (String, u32),
    at: i64,
}

const RECORD: &str = "id UInt64, who LowCardinality(String), small Int32, share Float64, yes Bool, maybe Nullable(UInt16), \
    address IPv6, tags Array(String), pair Tuple(String, UInt32), at DateTime64(3, 'UTC')";

fn record(id: u64) -> Record {
    Record {
        id,
        who: "grüße".into(),
        small: -5,
        share: 1.5,
        yes: true,
        maybe: if id % 2 == 0 { Some(7) } else { None },
        address: "2001:db8::1".parse().unwrap(),
        tags: vec!["a".into(), "b".into()],
        pair: ("k".into(), 3),
        at: 1_777_856_521_123,
    }
}

type Outcome = Result<(), Box<dyn std::error::Error>>;

async fn inserts_and_reads_with_each_compression(c: &Client) -> Outcome {
    for (name, compression) in [("rust_lz4", Compression::Lz4), ("rust_plain", Compression::None)] {
        let each = c.clone().with_compression(compression);
        each.query(&format!("CREATE OR REPLACE TABLE {name} ({RECORD}) ENGINE = MergeTree ORDER BY id")).execute().await?;
        let mut insert = each.insert::<Record>(name).await?;
        for id in 0..1000 {
            insert.write(&record(id)).await?;
        }
        insert.end().await?;
        let rows = each.query("SELECT ?fields FROM ? ORDER BY id").bind(Identifier(name)).fetch_all::<Record>().await?;
        assert_eq!(rows.len(), 1000);
        assert_eq!(rows[1], record(1));
        assert_eq!(rows[2], record(2));
    }
    Ok(())
}

async fn binds_and_parameters(c: &Client) -> Outcome {
    let text = "it's \\ \n";
    let got = c.query("SELECT ?, toUInt32(?)").bind(text).bind(7).fetch_one::<(String, u32)>().await?;
    assert_eq!(got, (text.to_string(), 7));
    let got = c.query("SELECT {n:UInt32} + 1").param("n", 41).fetch_one::<u64>().await?;
    assert_eq!(got, 42);
    Ok(())
}

async fn the_flow_table(c: &Client, table: &str) -> Outcome {
    #[derive(Debug, Row, Serialize, Deserialize)]
    struct Flow {
        device_id: String,
        src_ip: Ipv6Addr,
        bit_count: u64,
        policy_scope: Vec<String>,
    }
    // The client's own insert wants a field for each column that has no default.
    c.query("INSERT INTO ? (device_id, src_ip, bit_count, policy_scope) VALUES ('rust1', '::ffff:192.0.2.1', 8, ['as:64500'])")
        .bind(Identifier(table))
        .execute()
        .await?;
    let got = c.query("SELECT ?fields FROM ? WHERE device_id = 'rust1'").bind(Identifier(table)).fetch_one::<Flow>().await?;
    assert_eq!((got.bit_count, got.policy_scope.len()), (8, 1));
    Ok(())
}

async fn errors_have_code_and_text(c: &Client) -> Outcome {
    let error = c.query("SELECT * FROM nowhere").execute().await.expect_err("no error").to_string();
    assert!(error.contains("60") && error.contains("UNKNOWN_TABLE"), "{error}");
    let mut cursor = c
        .query("SELECT throwIf(number = 3000000) FROM numbers(5000000)")
        .with_setting("max_block_size", "65536")
        .fetch::<u8>()?;
    let error = loop {
        match cursor.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("no error in the middle of a result"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("395") || error.contains("throwIf"), "{error}");
    Ok(())
}

async fn streams_and_cancels(c: &Client) -> Outcome {
    let mut cursor = c.query("SELECT number FROM numbers(1000000)").fetch::<u64>()?;
    let mut n = 0;
    while let Some(row) = cursor.next().await? {
        n += row;
    }
    assert_eq!(n, 499_999_500_000);
    let running = c.query("SELECT count() FROM numbers(9000000000) WHERE NOT ignore(sipHash64(number))").with_setting("max_threads", "1");
    assert!(tokio::time::timeout(Duration::from_secs(2), running.fetch_one::<u64>()).await.is_err());
    for _ in 0..600 {
        let left = c
            .query("SELECT count() FROM system.processes WHERE query LIKE '%sipHash64(number)%' AND query NOT LIKE '%processes%'")
            .fetch_one::<u64>()
            .await?;
        if left == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("a query goes on though its client is gone");
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let c = Client::default().with_url(&arguments[1]).with_user("default").with_password(&arguments[2]);
    let mut failed = 0;
    let mut report = |name: &str, outcome: Outcome| match outcome {
        Ok(()) => println!("ok {name}"),
        Err(error) => {
            failed += 1;
            println!("FAIL {name}: {}", error.to_string().replace('\n', " "));
        }
    };
    report("inserts and reads with each compression", inserts_and_reads_with_each_compression(&c).await);
    report("binds and parameters", binds_and_parameters(&c).await);
    report("the flow table", the_flow_table(&c, &arguments[3]).await);
    report("errors have code and text", errors_have_code_and_text(&c).await);
    report("streams and cancels", streams_and_cancels(&c).await);
    std::process::exit(i32::from(failed > 0));
}
