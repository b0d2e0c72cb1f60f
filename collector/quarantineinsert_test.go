package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/quarantine"
)

// insertConn is a server that takes inserts as a test says.
type insertConn struct {
	driver.Conn
	insert func(block string) error
}

func (c *insertConn) InsertFormat(_ context.Context, _, _ string, data io.Reader) error {
	block, err := io.ReadAll(data)
	return errors.Join(err, c.insert(string(block)))
}

// What `quarantine insert` sends, over several calls. A record is named by its block; the time of a record is 0.
func TestQuarantineInsert(t *testing.T) {
	refused := &chgo.Exception{Code: 469, Message: "Constraint is violated"}
	broken := errors.New("connection reset")
	view := &chgo.Exception{Code: 497, Message: "Not enough privileges: while pushing to view a.b"}
	type call struct {
		after time.Duration
		again bool
		fail  map[string]error
		sent  string // the blocks that are sent
		want  string // of the error
	}
	for _, test := range []struct {
		name    string
		records []quarantine.Record
		calls   []call
	}{
		{"all goes in", make([]quarantine.Record, 3), []call{{sent: "0 1 2"}}},
		{"a failure half way", make([]quarantine.Record, 3), []call{
			{fail: map[string]error{"1": broken}, sent: "0 1", want: "1000 rows went in"},
			{after: time.Minute, sent: "1 2"}}},
		{"the rest days later, but for what may be stored", make([]quarantine.Record, 3), []call{
			{fail: map[string]error{"1": broken}, sent: "0 1", want: "connection reset"},
			{after: 48 * time.Hour, sent: "2", want: "may be stored"},
			{after: 48 * time.Hour, sent: "", want: "--again"},
			{after: 48 * time.Hour, again: true, sent: "1"}}},
		{"a refusal holds up no others", make([]quarantine.Record, 3), []call{
			{fail: map[string]error{"0": refused, "2": refused}, sent: "0 1 2", want: "(and 1 more block)"},
			{after: 48 * time.Hour, sent: "0 2"}}},
		{"a view that fails: the table may have the rows", make([]quarantine.Record, 1), []call{
			{fail: map[string]error{"0": view}, sent: "0", want: "while pushing to view"},
			{after: 48 * time.Hour, sent: "", want: "may be stored"}}},
		{"rows that failed without a known reason", []quarantine.Record{{Reason: string(sink.Unexplained)}, {}},
			[]call{
				{after: time.Hour, sent: "1", want: "may be stored"}, {after: time.Hour, again: true, sent: "0"}}},
		{"rows that the table has", []quarantine.Record{{Stored: true, Reason: string(clickhouse.ViewFailed)}, {}},
			[]call{
				{after: time.Hour, again: true, sent: "1", want: "the table has these rows"}}},
		{"rows that the table has, soon enough", []quarantine.Record{{Stored: true}},
			[]call{{after: time.Minute, sent: "0"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			collector := quarantine.New(quarantine.Options{Dir: dir})
			put := func(r quarantine.Record, block string) {
				r.Query, r.Token, r.Rows = "INSERT INTO `t` (`a`)", block, 1000
				if err := collector.Put(r, []byte(block)); err != nil {
					t.Fatal(err)
				}
			}
			for n, r := range test.records {
				put(r, fmt.Sprint(n))
			}
			files, err := quarantine.Read(dir)
			if err != nil || len(files) != 1 {
				t.Fatal(files, err)
			}
			for n, c := range test.calls {
				var sent []string
				conn := &insertConn{insert: func(block string) error {
					sent = append(sent,
						block)
					return c.fail[block]
				}}
				q := quarantineInsert{conn: conn, now: func() time.Time { return time.Now().Add(c.after) },
					again: c.again, out: io.Discard}
				err := q.pair(t.Context(), files[0].Name)
				if got := strings.Join(sent, " "); got != c.sent {
					t.Errorf("call %d sent %q, want %q", n, got, c.sent)
				}
				if (err == nil) != (c.want == "") || err != nil &&
					(!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n")) {
					t.Errorf("call %d: error %v, want %q", n, err, c.want)
				}
			}
			last := test.calls[len(test.calls)-1]
			if left, err := quarantine.Read(dir); err != nil || (len(left) == 0) != (last.want == "") {
				t.Errorf("left are %v, %v", left, err)
			}
		})
	}
}

// A collector that goes on putting blocks into the same pair of files while they are inserted (review B3).
func TestQuarantineInsert_besideACollector(t *testing.T) {
	dir := t.TempDir()
	collector := quarantine.New(quarantine.Options{Dir: dir})
	put := func(block string) {
		if err := collector.Put(quarantine.Record{Query: "INSERT INTO `t` (`a`)", Token: block, Rows: 1000},
			[]byte(block)); err != nil {
			t.Fatal(err)
		}
	}
	put("0")
	files, err := quarantine.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	var sent []string
	conn := &insertConn{insert: func(block string) error {
		if sent = append(sent, block); len(sent) < 4 {
			put(fmt.Sprint(len(sent)))
		}
		return nil
	}}
	var out bytes.Buffer
	q := quarantineInsert{conn: conn, now: time.Now, out: &out}
	if err := q.pair(t.Context(), files[0].Name); err != nil {
		t.Fatal(err)
	}
	if want := []string{"0", "1", "2", "3"}; !slices.Equal(sent, want) ||
		!strings.Contains(out.String(), "4000 rows inserted") {
		t.Errorf("sent %v, want %v; said %s", sent, want, &out)
	}
	if left, err := quarantine.Read(dir); err != nil || len(left) != 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}
