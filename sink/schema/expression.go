package schema

import (
	"context"
	"errors"
	"fmt"
	"strings"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// A BadExpression is SQL of the settings that a server does not understand.
type BadExpression struct {
	Setting string // in the words of Validate: "flow partition", "TTL of view edge_as 5m"
	Text    string
	Err     error
}

func (b BadExpression) Error() string { return fmt.Sprintf("%s: %q: %v", b.Setting, b.Text, b.Err) }

// expression is SQL of the settings with the columns that it may name.
type expression struct {
	setting, text string
	of            table
}

// expressions are the SQL of the settings: partitions, and where rows are spread the key for it.
func (s *Settings) expressions() []expression {
	flows := flowTable(s)
	all := []expression{
		{"flow partition", s.FlowPartitionBy, flows},
		{"interface traffic partition", s.InterfaceTrafficPartitionBy, interfaceTrafficTable(s)},
		{"loss partition", s.LossPartitionBy, lossTable(s)},
	}
	if s.Distributed {
		all = append(all, expression{"sharding key", s.ShardingKey, flows})
	}
	for i := range s.Views {
		v := &s.Views[i]
		if v.validate() != nil {
			continue
		}
		all = append(all, expression{"partition of view " + v.label(), v.PartitionBy, v.target(s)})
	}
	return all
}

// ttls are the TTLs of the settings.
func (s *Settings) ttls() []expression {
	all := []expression{
		{"flow TTL", s.FlowTTL.Interval, flowTable(s)},
		{"interface traffic TTL", s.InterfaceTrafficTTL.Interval, interfaceTrafficTable(s)},
		{"loss TTL", s.LossTTL.Interval, lossTable(s)},
	}
	for i := range s.Views {
		v := &s.Views[i]
		if v.validate() != nil {
			continue
		}
		all = append(all, expression{"TTL of view " + v.label(), v.TTL.Interval, v.target(s)})
	}
	return all
}

// HasExpressions reports whether the settings have SQL that is not the default, which only a server can judge.
func (s *Settings) HasExpressions() bool {
	usual := map[string]bool{"": true, dailyPartition: true, Default().ShardingKey: true}
	for _, e := range s.expressions() {
		if !usual[e.text] {
			return true
		}
	}
	for _, e := range s.ttls() {
		if !intervalText.MatchString(e.text) && e.text != "" {
			return true
		}
	}
	return false
}

// CheckExpressions asks a server what it makes of the SQL in the settings. It creates nothing and reads no row. SQL and
// views that Validate objects to are left out.
func CheckExpressions(ctx context.Context, conn driver.Conn, s Settings) []BadExpression {
	var bad []BadExpression
	for _, e := range s.expressions() {
		if e.text == "" || validateExpression("", e.text) != nil {
			continue
		}
		var columns []string
		for _, c := range e.of.columns {
			if strings.Contains(e.text, c.name) {
				columns = append(columns, "defaultValueOfTypeName("+literal(c.typ)+") AS "+ident(c.name))
			}
		}
		columns = append(columns, "0 AS ` `") // a subquery needs a column
		query := "DESCRIBE (SELECT " + e.text + " FROM (SELECT " + strings.Join(columns, ", ") + "))"
		if err := try(ctx, conn, query); err != nil {
			bad = append(bad, BadExpression{e.setting, e.text, err})
		}
	}
	for _, e := range s.ttls() {
		if e.text == "" || intervalText.MatchString(e.text) ||
			(TTL{e.text, "start_time"}).validate("") != nil {
			continue
		}
		e.of.partitionBy = ""
		if err := try(ctx, conn, "EXPLAIN AST "+e.of.create(&s)); err != nil {
			bad = append(bad, BadExpression{e.setting, e.text, err})
		}
	}
	return bad
}

// try runs a query for its error alone. An error that is not the server's judgement of the query counts as none: the
// connection is checked elsewhere.
func try(ctx context.Context, conn driver.Conn, query string) error {
	rows, err := conn.Query(ctx, query)
	if err == nil {
		for rows.Next() {
		}
		err = errors.Join(rows.Err(), rows.Close())
	}
	var exception *chgo.Exception
	if errors.As(err, &exception) && !isDenied(err) {
		return errors.New(judgement(exception.Message))
	}
	return nil
}

// judgement is what a server's message says of an expression, without the query that stands around it there. The server
// begins that part with a colon or as a sentence.
func judgement(message string) string {
	first, _, _ := strings.Cut(message, "\n")
	for _, rest := range []string{": In scope ", ". In scope ", ": While ", ": while "} {
		first, _, _ = strings.Cut(first, rest)
	}
	return first
}
