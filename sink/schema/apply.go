package schema

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Change is what Apply did, or a difference between the database and the settings that it left as it is.
type Change struct {
	Line    string
	Warning bool // the operator should do something
}

// Apply creates what is missing in the database and brings the rest up to date: missing columns are added, JSON columns
// learn the typed paths that they lack, views and dictionaries get the definition that the settings give them. Nothing
// is dropped and no data goes. It returns each change, and each difference that it leaves as it is because only an
// operator can decide on it (a TTL, a partition, a view that the settings have no more).
//
// A user who may only insert and select will do where all tables are there: nothing is created that is there already,
// system tables that cannot be read are done without, and so are steps that are forbidden and that storing rows does
// not depend on.
//
// Where a table cannot be altered to fit nothing at all is changed, and the error has a line for each mismatch.
// When a statement fails, the changes made until then are returned with the error.
func Apply(ctx context.Context, conn driver.Conn, s Settings) (changes []Change, err error) {
	steps, err := look(ctx, conn, &s)
	if err != nil {
		return nil, err
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

// Compare returns the lines of what Apply would do and what it would leave to the operator, and does nothing.
func Compare(ctx context.Context, conn driver.Conn, s Settings) (pending, warnings []string, err error) {
	steps, err := look(ctx, conn, &s)
	if err != nil {
		return nil, nil, err
	}
	for _, step := range append(steps.tables, steps.views...) {
		switch {
		case step.warning:
			warnings = append(warnings, step.line)
		case step.statement != "" && !step.quiet:
			pending = append(pending, step.line)
		}
	}
	return pending, warnings, nil
}

// look compares the database with the settings.
func look(ctx context.Context, conn driver.Conn, s *Settings) (steps, error) {
	if err := s.Validate(); err != nil {
		return steps{}, err
	}
	if err := conn.QueryRow(ctx, "SELECT timezone()").Scan(&s.ServerTimezone); err != nil {
		return steps{}, fmt.Errorf("read the server's time zone: %w", err)
	}
	s.Knows = knownSettings(ctx, conn)
	have, err := inspect(ctx, conn, s)
	if isDenied(err) {
		return lookBlindly(ctx, conn, s, err), nil
	}
	if err != nil {
		return steps{}, err
	}
	all, err := plan(s, have)
	if err != nil {
		return steps{}, fmt.Errorf("database %s does not fit the settings:\n%w", s.Database, err)
	}
	if !s.MetadataOnly {
		for _, f := range missingFunctions(ctx, conn) {
			all.tables = append(all.tables, step{statement: f.create(s), line: "function " + f.name + ": created",
				without: "queries go without it"})
		}
	}
	return all, nil
}

// lookBlindly is look without system tables: what is there is taken as it is, and only what is not there is created.
func lookBlindly(ctx context.Context, conn driver.Conn, s *Settings, why error) steps {
	p := planner{s: s}
	p.warn("the tables of database %s are taken as they are: %v", s.Database, why)
	if len(s.Rollups) > 0 {
		p.warn("no rollups are made: whether rows are there before them is not to be seen")
		s.Rollups = nil
	}
	missing := func(name string) bool { return !exists(ctx, conn, s.qualified(name)) }
	for _, t := range tables(s) {
		if missing(t.name) {
			p.do(t.create(s), "table %s: created", t.name)
		}
	}
	all := steps{tables: p.steps}
	p.steps = nil
	for _, v := range s.materializedViews() {
		if missing(v.name) {
			p.do(v.create(s), "view %s: created", v.name)
			p.optional("its table is filled only if somebody else has made it")
		}
	}
	for _, v := range s.sumsViews() {
		if missing(v.name) {
			p.do(v.create(s, "CREATE VIEW IF NOT EXISTS"), "view %s: created", v.name)
			p.optional("panels of dashboards that read it do not work")
		}
	}
	all.views = p.steps
	for _, d := range dictionaries(s) {
		if missing(d.Name) {
			all.tables = append(all.tables, step{
				statement: d.create(s, "CREATE"), line: "dictionary " + d.Name + ": created",
				without: "the views that ask it fail where it is not there",
			})
		}
	}
	return all
}

// exists asks for a table in the one way that needs no system table. Where even that is forbidden it is not seen.
func exists(ctx context.Context, conn driver.Conn, qualified string) bool {
	var there uint8
	return conn.QueryRow(ctx, "EXISTS TABLE "+qualified).Scan(&there) == nil && there == 1
}

// Error codes for what the user may not do: ACCESS_DENIED, READONLY, DATABASE_ACCESS_DENIED, QUERY_IS_PROHIBITED.
var deniedCodes = []int32{497, 164, 291, 392}

func isDenied(err error) bool {
	var exception *chgo.Exception
	return errors.As(err, &exception) && slices.Contains(deniedCodes, exception.Code)
}

// execute takes the steps in order and returns the changes: those that were done, and what was left.
func execute(ctx context.Context, conn driver.Conn, steps []step) (changes []Change, err error) {
	for _, step := range steps {
		if step.statement == "" {
			changes = append(changes, Change{step.line, step.warning})
			continue
		}
		err := conn.Exec(ctx, step.statement)
		switch {
		case err == nil && !step.quiet:
			changes = append(changes, Change{Line: step.line})
		case err == nil:
		case step.without != "" && isDenied(err):
			if !step.quiet {
				line := fmt.Sprintf("not done, as this user may not; %s: %s: %s", step.without, step.line,
					step.statement)
				changes = append(changes, Change{line, true})
			}
		default:
			return changes, fmt.Errorf("the step %q failed: %w", step.line, err)
		}
	}
	return changes, nil
}

// FlowTTL reads the TTL of the table of flows. Where that has one that is more than an interval after a column, or only
// for some rows, it is not known; a table that is not to be seen has that of the settings.
func FlowTTL(ctx context.Context, conn driver.Conn, s *Settings) (ttl TTL, known bool, err error) {
	var full []struct {
		EngineFull string `ch:"engine_full"`
	}
	err = conn.Select(ctx, &full, "SELECT engine_full FROM system.tables WHERE database = "+literal(s.Database)+
		" AND name = "+literal(s.local(s.Tables.Flow)))
	switch {
	case isDenied(err), err == nil && len(full) == 0:
		return s.FlowTTL, true, nil
	case err != nil:
		return TTL{}, false, fmt.Errorf("read the TTL of %s: %w", s.Tables.Flow, err)
	}
	ttl, known = parseTTL(ttlOf(storageClauses(full[0].EngineFull)))
	return ttl, known, nil
}

// ExtType reads the type of ext of the table of flows; "" where it is not to be seen.
func ExtType(ctx context.Context, conn driver.Conn, s *Settings) (string, error) {
	var types []struct {
		Type string `ch:"type"`
	}
	err := conn.Select(ctx, &types, "SELECT type FROM system.columns WHERE database = "+literal(s.Database)+
		" AND table = "+literal(s.Tables.Flow)+" AND name = 'ext'")
	switch {
	case isDenied(err), err == nil && len(types) == 0:
		return "", nil
	case err != nil:
		return "", fmt.Errorf("read the type of ext of %s: %w", s.Tables.Flow, err)
	}
	return types[0].Type, nil
}

var (
	// simpleTTL is a TTL as the server writes it.
	simpleTTL = regexp.MustCompile(`^(?:toDate(?:Time)?\()?` + "`?" + `(\w+)` + "`?" +
		`\)? \+ toInterval([A-Z][a-z]+)\((\d+)\)(?: DELETE)?$`)
	// movesOnly are rules of a TTL that delete nothing.
	movesOnly = regexp.MustCompile(` (TO (DISK|VOLUME) '[^']*'|RECOMPRESS .*)$`)
)

// parseTTL reads the TTL of a table: "" is none, for which it returns the zero value. It returns false for what it does
// not understand.
func parseTTL(text string) (TTL, bool) {
	var found []TTL
	for rule := range strings.SplitSeq(text, ", ") {
		if rule == "" || movesOnly.MatchString(rule) {
			continue
		}
		match := simpleTTL.FindStringSubmatch(rule)
		if match == nil {
			return TTL{}, false
		}
		found = append(found, TTL{Interval: match[3] + " " + strings.ToUpper(match[2]), Column: match[1]})
	}
	switch len(found) {
	case 0:
		return TTL{}, true
	case 1:
		return found[0], true
	}
	return TTL{}, false
}

// knownSettings asks the server. One that does not say goes without the settings, which no row depends on.
func knownSettings(ctx context.Context, conn driver.Conn) map[string]bool {
	var wanted []string
	for _, name := range NewTableSettings() {
		wanted = append(wanted, literal(name))
	}
	known := map[string]bool{}
	var names []string
	if conn.QueryRow(ctx, "SELECT groupArray(name) FROM system.merge_tree_settings WHERE name IN ("+
		strings.Join(wanted, ", ")+")").Scan(&names) != nil {
		return known
	}
	for _, name := range names {
		known[name] = true
	}
	return known
}

// checkDictionaries loads the dictionaries, so that one that may not read its table is an error now and not at
// the first insert whose view asks it. One that we may not read is for the views' definer to ask.
func checkDictionaries(ctx context.Context, conn driver.Conn, s *Settings) error {
	for _, d := range dictionaries(s) {
		if err := conn.Exec(ctx, "SELECT 1 FROM "+s.qualified(d.Name)+" LIMIT 1 FORMAT Null"); err != nil &&
			!isDenied(err) {
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
	Name       string  `ch:"name"`
	Engine     string  `ch:"engine"`
	EngineFull string  `ch:"engine_full"`
	SortingKey string  `ch:"sorting_key"`
	Create     string  `ch:"create_table_query"`
	Select     string  `ch:"as_select"`
	Rows       *uint64 `ch:"total_rows"`
	columns    []existingColumn
}

// hasRows reports whether a table keeps rows and may have some.
func (e *existing) hasRows() bool { return e.hasParts() && (e.Rows == nil || *e.Rows > 0) }

// hasParts reports whether it is a table that keeps rows.
func (e *existing) hasParts() bool { return strings.HasSuffix(e.Engine, "MergeTree") }

type existingColumn struct {
	Table   string `ch:"table"`
	Name    string `ch:"name"`
	Type    string `ch:"type"`
	Codec   string `ch:"compression_codec"`
	Comment string `ch:"comment"`
	Default string `ch:"default_expression"`
}

// inspect reads the state of the database.
func inspect(ctx context.Context, conn driver.Conn, s *Settings) (*state, error) {
	have := &state{tables: map[string]existing{}, canonical: map[string]string{}}
	var databases uint64
	if err := conn.QueryRow(ctx, "SELECT count() FROM system.databases WHERE name = "+
		literal(s.Database)).Scan(&databases); err != nil {
		return nil, fmt.Errorf("read system.databases: %w", err)
	}
	have.databaseExists = databases > 0

	var tables []existing
	if err := conn.Select(ctx, &tables,
		"SELECT name, engine, engine_full, sorting_key, create_table_query, as_select, total_rows "+
			"FROM system.tables WHERE database = "+literal(s.Database)); err != nil {
		return nil, fmt.Errorf("read system.tables of %s: %w", s.Database, err)
	}
	var columns []existingColumn
	if err := conn.Select(ctx, &columns,
		"SELECT table, name, type, compression_codec, comment, default_expression FROM system.columns "+
			"WHERE database = "+literal(s.Database)+" ORDER BY table, position"); err != nil {
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
	have.readCountriesLater(s)
	have.readKept(s)
	if s.RollupsLater {
		have.keepMadeRollups(s)
	}
	if err := have.readRollupsSince(ctx, conn, s); err != nil {
		return nil, err
	}
	if err := have.readRollupsFilled(ctx, conn, s); err != nil {
		return nil, err
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
	for _, v := range s.materializedViews() {
		definitions[v.name] = v.query
	}
	for _, v := range s.sumsViews() {
		definitions[v.name] = v.query
	}
	maps.DeleteFunc(definitions, func(name, _ string) bool {
		_, there := have.tables[name]
		return !there
	})
	for names := sortedKeys(definitions); len(names) > 0; {
		var texts []string
		n, size := 0, 0
		for ; n < len(names) && (n == 0 || size+len(definitions[names[n]]) <= formatBytes); n++ {
			size += len(definitions[names[n]])
			texts = append(texts, literal(definitions[names[n]]))
		}
		var formatted []string
		if err := conn.QueryRow(ctx, "SELECT arrayMap(q -> formatQuerySingleLine(q), ["+strings.Join(texts, ", ")+
			"])").Scan(&formatted); err != nil {
			return fmt.Errorf("let the server format the definitions of %s to %s: %w", names[0], names[n-1], err)
		}
		for i, text := range formatted {
			have.canonical[names[i]] = text
		}
		names = names[n:]
	}
	return nil
}

// formatBytes limits the definitions in one query: with quotes escaped it stays within the server's default
// max_query_size of 256 KiB.
const formatBytes = 64 << 10
