package schema

import (
	"context"
	"errors"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Apply creates what is missing in the database and brings the rest up to date: missing columns are added, JSON
// columns learn the typed paths that they lack, views and dictionaries get the definition that the settings give
// them. Nothing is dropped and no data goes. It returns a line for each change, and one for each difference that it
// leaves as it is because only an operator can decide on it (a TTL, a partition).
//
// Where a table cannot be mended nothing at all is changed, and the error has a line for each mismatch.
// When a statement fails, the changes made until then are returned with the error.
func Apply(ctx context.Context, conn driver.Conn, s Settings) (changes []string, err error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if err := conn.QueryRow(ctx, "SELECT timezone()").Scan(&s.ServerTimezone); err != nil {
		return nil, fmt.Errorf("read the server's time zone: %w", err)
	}
	s.KnowsMergeWidth = knowsMergeWidth(ctx, conn)
	have, err := inspect(ctx, conn, &s)
	if err != nil {
		return nil, err
	}
	steps, err := plan(&s, have)
	if err != nil {
		return nil, fmt.Errorf("database %s does not fit the settings:\n%w", s.Database, err)
	}
	if changes, err = execute(ctx, conn, steps.tables); err != nil {
		return changes, err
	}
	// Before the views, which ask the dictionaries: the error is to name these.
	if err := checkDictionaries(ctx, conn, &s); err != nil {
		return changes, err
	}
	views, err := execute(ctx, conn, steps.views)
	return append(changes, views...), err
}

// execute takes the steps in order and returns the lines of those that were done.
func execute(ctx context.Context, conn driver.Conn, steps []step) (changes []string, err error) {
	for _, step := range steps {
		if step.statement != "" {
			err := conn.Exec(ctx, step.statement)
			if step.dispensable && isDenied(err) {
				changes = append(changes, fmt.Sprintf("not done, as this user may not; rows are stored all the same: %s: %s",
					step.line, step.statement))
				continue
			}
			if err != nil {
				return changes, fmt.Errorf("the step %q failed: %w", step.line, err)
			}
		}
		if !step.quiet {
			changes = append(changes, step.line)
		}
	}
	return changes, nil
}

// isDenied reports whether the server refused the statement for want of rights: ACCESS_DENIED or READONLY.
func isDenied(err error) bool {
	var exception *clickhouse.Exception
	return errors.As(err, &exception) && (exception.Code == 497 || exception.Code == 164)
}

// knowsMergeWidth asks the server. One that does not say goes without the setting, which no row depends on.
func knowsMergeWidth(ctx context.Context, conn driver.Conn) bool {
	var n uint64
	err := conn.QueryRow(ctx, "SELECT count() FROM system.merge_tree_settings WHERE name = "+literal(mergeWidth)).Scan(&n)
	return err == nil && n > 0
}

// checkDictionaries loads the dictionaries, so that one that may not read its table is an error now and not at
// the first insert whose view asks it.
func checkDictionaries(ctx context.Context, conn driver.Conn, s *Settings) error {
	for _, d := range dictionaries(s) {
		if err := conn.Exec(ctx, "SELECT 1 FROM "+s.qualified(d.Name)+" LIMIT 1 FORMAT Null"); err != nil {
			return fmt.Errorf("dictionary %s.%s cannot read its table: %w", s.Database, d.Name, err)
		}
	}
	return nil
}

// state is what the server has.
type state struct {
	databaseExists bool
	tables         map[string]existing // also views and dictionaries, by name
	// canonical are the CREATE statements of the settings as the server itself would write them, by name, to
	// compare with what it has.
	canonical map[string]string
}

// existing is a table, view or dictionary of the database.
type existing struct {
	Name       string `ch:"name"`
	Engine     string `ch:"engine"`
	EngineFull string `ch:"engine_full"`
	SortingKey string `ch:"sorting_key"`
	Create     string `ch:"create_table_query"`
	Select     string `ch:"as_select"`
	columns    []existingColumn
}

type existingColumn struct {
	Table string `ch:"table"`
	Name  string `ch:"name"`
	Type  string `ch:"type"`
}

// inspect reads the state of the database.
func inspect(ctx context.Context, conn driver.Conn, s *Settings) (*state, error) {
	have := &state{tables: map[string]existing{}, canonical: map[string]string{}}
	var databases uint64
	if err := conn.QueryRow(ctx, "SELECT count() FROM system.databases WHERE name = "+literal(s.Database)).Scan(&databases); err != nil {
		return nil, fmt.Errorf("read system.databases: %w", err)
	}
	have.databaseExists = databases > 0

	var tables []existing
	if err := conn.Select(ctx, &tables, "SELECT name, engine, engine_full, sorting_key, create_table_query, as_select "+
		"FROM system.tables WHERE database = "+literal(s.Database)); err != nil {
		return nil, fmt.Errorf("read system.tables of %s: %w", s.Database, err)
	}
	var columns []existingColumn
	if err := conn.Select(ctx, &columns, "SELECT table, name, type FROM system.columns WHERE database = "+
		literal(s.Database)+" ORDER BY table, position"); err != nil {
		return nil, fmt.Errorf("read system.columns of %s: %w", s.Database, err)
	}
	for _, t := range tables {
		have.tables[t.Name] = t
	}
	for _, c := range columns {
		t := have.tables[c.Table]
		t.columns = append(t.columns, c)
		have.tables[c.Table] = t
	}
	return have, have.readCanonical(ctx, conn, s)
}

// readCanonical asks the server to write the definitions of what exists already in its own way.
func (have *state) readCanonical(ctx context.Context, conn driver.Conn, s *Settings) error {
	definitions := map[string]string{}
	for _, t := range tables(s) {
		definitions[t.name] = t.create(s)
	}
	for _, d := range dictionaries(s) {
		definitions[d.Name] = d.masked().create(s.withoutCluster(), "CREATE OR REPLACE")
	}
	for i := range s.Views {
		definitions[s.Views[i].name()] = s.Views[i].query(s)
	}
	for name, definition := range definitions {
		if _, ok := have.tables[name]; !ok {
			continue
		}
		var text string
		if err := conn.QueryRow(ctx, "SELECT formatQuerySingleLine("+literal(definition)+")").Scan(&text); err != nil {
			return fmt.Errorf("let the server format the definition of %s: %w", name, err)
		}
		have.canonical[name] = text
	}
	return nil
}
