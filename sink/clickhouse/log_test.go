package clickhouse

import (
	"errors"
	"strings"
	"testing"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/metranova/flow-collector/sink"
)

// What the log says of failures of two tables, one letter an event: "f" a failure of data_flow, "F" one of the whole
// server, "l" one of collector_loss, "d" a delivery to data_flow, "m" a minute that passes.
func TestLogOfFailures(t *testing.T) {
	flow, loss := &Insert{Query: "INSERT INTO data_flow"}, &Insert{Query: "INSERT INTO collector_loss"}
	words := map[string]string{"ClickHouse insert failed": "failed", "ClickHouse takes inserts again": "again"}
	for _, test := range []struct {
		name, events, want string
	}{
		{"one table may not be written, the other may", strings.Repeat("ld", 100), "failed collector_loss"},
		{"that goes on for minutes", strings.Repeat("ld", 100) + "m" + strings.Repeat("ld", 100),
			"failed collector_loss; failed collector_loss"},
		{"both fail, one recovers", "lfd", "failed collector_loss; failed data_flow; again data_flow"},
		{"the server fails and comes back", "FFFdd", "failed data_flow; again data_flow"},
		{"a table that fails now and then", strings.Repeat("fd", 50), "failed data_flow; again data_flow"},
		{"minutes later too", strings.Repeat("fd", 50) + "m" + strings.Repeat("fd", 50),
			"failed data_flow; again data_flow; failed data_flow; again data_flow"},
		{"two errors in turn", strings.Repeat("fF", 50) + "d", "failed data_flow; failed data_flow; again data_flow"},
		{"nothing failed", "ddd", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			core, logs := observer.New(zap.InfoLevel)
			now := time.Unix(0, 0)
			l := writerLog{log: zap.New(core), now: func() time.Time { return now }}
			denied := &chgo.Exception{Code: 497, Message: "Not enough privileges"}
			for _, event := range test.events {
				switch event {
				case 'f':
					l.failed(sink.Configuration, flow, denied)
				case 'F':
					l.failed(sink.Retryable, flow, errors.New("connection refused"))
				case 'l':
					l.failed(sink.Configuration, loss, denied)
				case 'd':
					l.delivered(flow)
				case 'm':
					now = now.Add(time.Minute)
				}
			}
			var said []string
			for _, e := range logs.All() {
				said = append(said, words[e.Message]+" "+
					strings.TrimPrefix(e.ContextMap()["query"].(string), "INSERT INTO "))
			}
			if got := strings.Join(said, "; "); got != test.want {
				t.Errorf("said %q, want %q", got, test.want)
			}
		})
	}
}
