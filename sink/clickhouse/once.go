package clickhouse

import (
	"bytes"
	"context"
	"errors"
	"io"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/sink"
)

// InsertOnce sends one block without retries. After an error, maybeStored says whether some of its rows may still be
// stored.
func InsertOnce(ctx context.Context, conn driver.Conn, query, token string, data []byte) (maybeStored bool, err error) {
	var without omitted
	for {
		settings := InsertSettings(token)
		without.from(settings)
		block := newBody(io.NopCloser(bytes.NewReader(data)))
		err = conn.InsertFormat(chgo.Context(ctx, chgo.WithSettings(settings)), "Native", query, block)
		sent := block.wasRead()
		_ = block.Close()
		if err == nil {
			return false, nil
		}
		err = cause(err)
		if without.add(err) == "" {
			return sent && !storedNothing(err), explainForbidden(err)
		}
	}
}

// storedNothing reports whether the server detects this failure before it writes anything.
func storedNothing(err error) bool {
	var exception *chgo.Exception
	if !errors.As(err, &exception) || fromView(err) {
		return false
	}
	class := Classify(err)
	return class == sink.Permanent || class == sink.Configuration
}
