package message

import (
	"encoding/binary"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

// kafkaStatements are the statements of a file of conf.example/kafka.
func kafkaStatements(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "conf.example", "kafka", name))
	if err != nil {
		t.Fatal(err)
	}
	statements := strings.Split(string(text), ";\n")
	if last := statements[len(statements)-1]; strings.TrimSpace(last) != "" {
		t.Fatalf("%s does not end with a statement's end but with %q", name, last)
	}
	return statements[:len(statements)-1]
}

// withoutBroker makes the table of Kafka's engine one that takes inserts: no broker runs here. What the engine would
// say of a message are columns then. (`make test-kafka` takes the same files to a broker.)
func withoutBroker(t *testing.T, statement string) string {
	t.Helper()
	columns, _, found := strings.Cut(statement, "\n)\nENGINE = Kafka\n")
	if !found {
		t.Fatalf("not a table of Kafka's engine:\n%s", statement)
	}
	return columns +
		", _error String, _raw_message String, _topic String, _partition UInt64, _offset UInt64) ENGINE = Null"
}

// The tables and views of conf.example/kafka make of messages the rows that blocks make.
func TestKafkaTablesMakeTheBlocksRows(t *testing.T) {
	proto, err := os.ReadFile("flow.proto") // the local store takes a schema as text, and reads no files
	if err != nil {
		t.Fatal(err)
	}
	extensions, ipRefs := []string{"bgp", "ipv4", "ipv6", "mpls", "vlan"}, []string{"scireg"}
	for _, test := range []struct {
		file, format string
		parameters   url.Values
		messages     func([]enrich.Row) []byte
	}{
		{"json.sql", "JSONEachRow", url.Values{}, func(rows []enrich.Row) []byte { return messages(JSON, rows) }},
		{"protobuf.sql", "Protobuf", url.Values{"format_schema": {string(proto)},
			"format_schema_message_name": {"Flow"}}, lengthDelimited},
	} {
		t.Run(test.file, func(t *testing.T) {
			e := engine{storetest.Start(t)}
			e.createTables(t, extensions, ipRefs)
			statements := kafkaStatements(t, test.file)
			statements[0] = withoutBroker(t, statements[0])
			for _, statement := range statements {
				// Columns of Kafka's engine are not among those of *.
				e.run(t, strings.Replace(statement, "SELECT *\n",
					"SELECT * EXCEPT (_error, _raw_message, _topic, _partition, _offset)\n", 1))
			}
			rows := engineRows()
			test.parameters.Set("query", "INSERT INTO data_flow_kafka FORMAT "+test.format)
			if _, err := e.post(test.parameters, test.messages(rows)); err != nil {
				t.Fatal(err)
			}
			got := e.stored(t)
			e.insertNative(t, extensions, ipRefs, rows)
			compareStored(t, e.stored(t), got)

			e.run(t,
				`INSERT INTO data_flow_kafka (_error, _raw_message, _topic, _offset) VALUES ('bad', '{', 'flows', 7)`)
			if n := e.run(t, "SELECT count() AS n FROM data_flow"); n != "{\"n\":0}\n" {
				t.Errorf("a message that could not be read made a row: %s", n)
			}
			const want = `{"topic":"flows","partition":0,"offset":7,"error":"bad","message":"{"}` + "\n"
			if got := e.run(t, "SELECT * EXCEPT time FROM data_flow_kafka_error"); got != want {
				t.Errorf("messages that could not be read: %q, want %q", got, want)
			}
		})
	}
}

// lengthDelimited are messages of format protobuf each behind its length, as ClickHouse takes several at once. From
// Kafka they come one by one.
func lengthDelimited(rows []enrich.Row) (out []byte) {
	for i := range rows {
		m := messages(Protobuf, rows[i:i+1])
		out = append(binary.AppendUvarint(out, uint64(len(m))), m...)
	}
	return out
}
