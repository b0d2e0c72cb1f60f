package setup

import (
	"context"
	"errors"
	"reflect"
	"testing"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// profiled is a connection of a user whose profile has a level of readonly.
type profiled struct {
	driver.Conn
	level string // "": the server does not say
}

func (p profiled) QueryRow(context.Context, string, ...any) driver.Row { return row{level: p.level} }

type row struct {
	driver.Row
	level string
}

func (r row) Scan(into ...any) error {
	if r.level == "" {
		return errors.New("unknown function getSetting")
	}
	*into[0].(*string) = r.level
	return nil
}

func TestQuerySettings(t *testing.T) {
	plain := chgo.Settings{"output_format_pretty_color": 0, "output_format_pretty_row_numbers": 0}
	reading := chgo.Settings{"output_format_pretty_color": 0, "output_format_pretty_row_numbers": 0, "readonly": 2}
	for _, test := range []struct {
		name, level string
		reads       bool
		want        chgo.Settings
	}{
		{"a user who may change everything", "0", true, reading},
		{"with --write", "0", false, plain},
		{"a user who may send no settings", "1", true, nil},
		{"a user who may only read", "2", true, reading},
		{"a server that does not say", "", true, reading},
	} {
		got := querySettings(t.Context(), profiled{level: test.level}, test.reads)
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}
