package schema

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// step is one statement and the line that says what it does. Without a statement the line is a remark.
type step struct {
	statement, line string
	quiet           bool // not worth a line when it succeeds
	warning         bool // of a remark: the operator should do something
	// without is what happens where the user may not do this step and rows can be stored all the same. "": they cannot.
	without string
}

// steps are what is to be done, in order: tables and dictionaries, then the views of them. Offers are left to the
// operator.
type steps struct {
	tables, views []step
	offers        []Offer
}

// plan compares the settings with what the server has. The error joins every mismatch that no step can fix.
func plan(s *Settings, have *state) (steps, error) {
	p := planner{s: s, have: have}
	if !have.databaseExists && !s.SkipDatabaseCreate {
		p.do(s.createDatabase(), "database %s: created", s.Database)
		p.optional("it has to be there")
	}
	for _, t := range tables(s) {
		p.table(&t)
	}
	p.countries()
	for _, d := range dictionaries(s) {
		p.dictionary(&d)
	}
	all := steps{tables: p.steps}
	p.steps = nil
	p.rollupsAgain()
	for _, v := range s.materializedViews() {
		p.view(&v)
	}
	for _, v := range s.sumsViews() {
		p.sumsView(&v)
	}
	p.leftViews()
	all.views, all.offers = p.steps, p.offers
	return all, errors.Join(p.mismatches...)
}

type planner struct {
	s          *Settings
	have       *state
	steps      []step
	offers     []Offer
	mismatches []error
}

func (p *planner) do(statement, line string, args ...any) {
	p.steps = append(p.steps, step{statement: statement, line: fmt.Sprintf(line, args...)})
}

// optional marks the latest step as one that may be forbidden, and says what follows.
func (p *planner) optional(without string) { p.steps[len(p.steps)-1].without = without }

// warn is a remark that the operator should act on.
func (p *planner) warn(line string, args ...any) {
	p.do("", line, args...)
	p.steps[len(p.steps)-1].warning = true
}

func (p *planner) remark(line string, args ...any) { p.do("", line, args...) }

func (p *planner) mismatch(format string, args ...any) {
	p.mismatches = append(p.mismatches, fmt.Errorf(format, args...))
}

// alter renders an ALTER TABLE.
func (p *planner) alter(name, what string) string {
	return "ALTER TABLE " + p.s.qualified(name) + p.s.onCluster() + " " + what
}

func (p *planner) table(t *table) {
	old, ok := p.have.tables[t.name]
	if !ok {
		p.do(t.create(p.s), "table %s: created", t.name)
		return
	}
	if !p.engineFits(t, &old) {
		return
	}
	before := len(p.mismatches)
	p.columns(t, &old)
	if len(p.mismatches) > before {
		return
	}
	p.keys(t, &old)
	p.deduplication(t, &old)
	p.offerForm(t, &old)
}

// countries says that rows are there whose countries Fill can write.
func (p *planner) countries() {
	if p.s.CountriesLater && p.s.fillsCountries() && !p.s.MetadataOnly {
		p.warn("table %s: rows of an earlier version have no countries: queries look these up by prefix, which takes "+
			"longer, until they are written: collector schema rollups fill", p.s.Tables.Flow)
	}
}

// engineFits reports whether the object can serve as the table. Tables whose engine does something to the rows
// have to have that engine; where rows are only kept, the operator may keep them otherwise (Distributed, Null).
func (p *planner) engineFits(t *table, old *existing) bool {
	base := strings.TrimPrefix(strings.TrimPrefix(old.Engine, "Replicated"), "Shared")
	if base == t.engine {
		return true
	}
	if t.engine == distributedEngine {
		p.mismatch("table %s: engine is %s, not Distributed; let it become the part of this shard: RENAME TABLE %s "+
			"TO %s%s", t.name, old.Engine,
			p.s.qualified(t.name), p.s.qualified(p.s.local(t.name)), p.s.onCluster())
		return false
	}
	notTable := strings.HasSuffix(old.Engine, "View") || old.Engine == "Dictionary"
	if notTable || t.engine != "MergeTree" {
		p.mismatch("table %s: engine is %s, not %s; rename it or give the table another name in the settings", t.name,
			old.Engine, t.engine)
		return false
	}
	p.remark("table %s: engine is %s, not %s; left as it is", t.name, old.Engine, t.engine)
	return true
}

// columns adds what is missing and gives JSON columns their typed paths.
func (p *planner) columns(t *table, old *existing) {
	types := map[string]string{}
	for _, c := range old.columns {
		types[c.Name] = c.Type
	}
	for i := range t.columns {
		c := &t.columns[i]
		typ, ok := types[c.name]
		switch {
		case !ok:
			where := "FIRST"
			if i > 0 {
				where = "AFTER " + ident(t.columns[i-1].name)
			}
			added := *c
			if old.hasRows() && c.later != "" {
				added.defaults = literal(c.later)
			}
			p.do(p.alter(t.name, "ADD COLUMN IF NOT EXISTS "+added.definition()+" "+where),
				"table %s: column %s %s added", t.name, c.name, c.typ)
			if c.optional {
				p.optional("rows are stored without it")
			}
		case typ == c.typ || typ == c.also:
		case isJSON(c.typ) && isJSON(typ):
			p.jsonPaths(t, c, typ, old.Rows)
		default:
			p.mismatch("table %s: column %s is %s, not %s; change it with ALTER TABLE … MODIFY COLUMN or rename the "+
				"table",
				t.name, c.name, typ, c.typ)
		}
	}
}

// mostConverted is the number of rows up to which a start waits until the server has converted a JSON column.
const mostConverted = 1_000_000

// jsonPaths adds the typed paths that a JSON column lacks; what else its type says stays. The server converts all rows
// for that, so in a large table it is for the operator to decide. Rows are stored all the same.
func (p *planner) jsonPaths(t *table, c *column, typ string, rows *uint64) {
	arguments, typed := parseJSON(typ)
	var added, names []string
	for _, path := range sortedKeys(c.paths) {
		want := c.paths[path]
		switch is, ok := typed[path]; {
		case !ok:
			added, names = append(added, path+" "+want), append(names, path)
		case is != want && !blocksTake(path, is):
			p.mismatch("table %s: path %s of column %s is %s, not %s; change it with ALTER TABLE … MODIFY COLUMN or "+
				"rename the table",
				t.name, path, c.name, is, want)
		}
	}
	if len(added) == 0 {
		return
	}
	full := "JSON(" + strings.Join(append(arguments, added...), ", ") + ")"
	statement := p.alter(t.name, "MODIFY COLUMN "+ident(c.name)+" "+full)
	if rows != nil && *rows > mostConverted {
		p.warn("table %s: column %s has no types for the paths %s, which read as Dynamic; the server would convert %d "+
			"rows, so it is left to you: collector schema apply", t.name, c.name, shortList(names), *rows)
		p.offer(t.name, statement, "types of the paths %s of %s: the server converts %s of all rows that are there, "+
			"which takes it some %d s a million rows", shortList(names), c.name, c.name, convertSeconds)
		return
	}
	p.do(statement, "table %s: column %s has typed paths for %s now", t.name, c.name, strings.Join(added, ", "))
	p.optional("rows are stored all the same")
}

// blocksTake reports whether rows can be written with this type of a path of ext of data_flow.
func blocksTake(path, typ string) bool {
	return slices.ContainsFunc(ExtPaths(), func(p Path) bool { return p.Name == path && p.Takes(typ) })
}

// keys compares partition, keys and TTL. A different sorting key makes an engine that merges rows merge others.
func (p *planner) keys(t *table, old *existing) {
	want := storageClauses(p.have.canonical[t.name])
	is := storageClauses(old.EngineFull)
	if want == is {
		return
	}
	wantKey, isKey := orderBy(want), orderBy(is)
	if t.engine != "MergeTree" && wantKey != isKey {
		p.mismatch("table %s: %s, but the rows are to be merged with %s; rename it or give the table another name in "+
			"the settings",
			t.name, isKey, wantKey)
		return
	}
	isTTL, wantTTL := ttlOf(is), ttlOf(want)
	if isTTL != wantTTL {
		change := "REMOVE TTL"
		if t.ttl.Interval != "" {
			change = fmt.Sprintf("MODIFY TTL %s + INTERVAL %s", ident(t.ttl.Column), t.ttl.Interval)
		}
		statement := p.alter(t.name, change)
		p.warn("table %s: its TTL is %s, the settings say %s; rows go by the table's. To change it: %s",
			t.name, orNone(isTTL), orNone(wantTTL), statement)
		p.offer(t.name, statement, "TTL %s instead of %s: rows beyond it go with the next merges, those within it stay",
			orNone(wantTTL), orNone(isTTL))
	}
	if is, want = withoutTTL(is), withoutTTL(want); is != want {
		p.remark("table %s: left as it is: %s; the settings say: %s", t.name, is, want)
	}
}

func orNone(ttl string) string {
	if ttl == "" {
		return "none"
	}
	return ttl
}

// deduplication lets an existing table remember as many insert tokens as the settings say, or more.
func (p *planner) deduplication(t *table, old *existing) {
	if !strings.HasSuffix(old.Engine, "MergeTree") || strings.HasPrefix(old.Engine, "Shared") {
		return
	}
	for _, want := range deduplication(p.s, strings.HasPrefix(old.Engine, "Replicated")) {
		if settingOf(old.EngineFull, want.name) < want.value {
			p.do(p.alter(t.name, fmt.Sprintf("MODIFY SETTING %s = %d", want.name, want.value)),
				"table %s: %s set to %d", t.name, want.name, want.value)
			p.optional("an insert that is retried late may be stored twice")
		}
	}
}

// settingOf reads a setting out of engine_full; 0 where it is not there.
func settingOf(engineFull, name string) uint {
	_, text, found := strings.Cut(engineFull, " "+name+" = ")
	if !found {
		return 0
	}
	text, _, _ = strings.Cut(text, ",")
	n, _ := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
	return uint(n)
}

func (p *planner) dictionary(d *dictionary) {
	old, ok := p.have.tables[d.Name]
	switch {
	case !ok:
		p.do(d.create(p.s, "CREATE"), "dictionary %s: created", d.Name)
		p.optional("the views that ask it fail where it is not there")
	case old.Engine != "Dictionary":
		p.mismatch("dictionary %s: the name belongs to a %s; rename that or give the dictionary another name in the "+
			"settings", d.Name, old.Engine)
	case definition(old.Create) != definition(p.have.canonical[d.Name]):
		p.do(d.create(p.s, "CREATE OR REPLACE"), "dictionary %s: definition replaced", d.Name)
		p.optional("it stays as it is")
	case p.s.DictionarySource.Password != "":
		// The server does not show the password, so it may have changed.
		p.do(d.create(p.s, "CREATE OR REPLACE"), "dictionary %s: password set", d.Name)
		p.optional("it keeps the password that it has")
		p.steps[len(p.steps)-1].quiet = true
	}
}

func (p *planner) view(v *materialized) {
	old, ok := p.have.tables[v.name]
	switch {
	case !ok:
		p.do(v.create(p.s), "view %s: created", v.name)
		p.optional("its table is filled only if somebody else has made it")
	case old.Engine != "MaterializedView":
		p.mismatch("view %s: the name belongs to a %s; rename that or give the view's table another name in the "+
			"settings", v.name, old.Engine)
	case !strings.Contains(old.Create, " TO "+unquoted(p.s.Database)+"."+unquoted(v.table)+" "):
		p.mismatch("view %s: does not fill table %s; rename it or give the table another name in the settings",
			v.name, v.table)
	case old.Select != p.have.canonical[v.name]:
		p.do(p.alter(v.name, "MODIFY QUERY "+v.query), "view %s: query changed", v.name)
		p.optional("it stays as it is")
	}
}

// sumsView makes a view for dashboards. No row depends on it.
func (p *planner) sumsView(v *sumsView) {
	old, ok := p.have.tables[v.name]
	switch {
	case !ok:
		p.do(v.create(p.s, "CREATE VIEW IF NOT EXISTS"), "view %s: created", v.name)
	case old.Engine != "View":
		p.warn("view %s: the name belongs to a %s; rename that: dashboards need the view", v.name, old.Engine)
		return
	case old.Select != p.have.canonical[v.name]:
		p.do(v.create(p.s, "CREATE OR REPLACE VIEW"), "view %s: query changed", v.name)
	default:
		return
	}
	p.optional("panels of dashboards that read it do not work")
}

// leftViews names the views of ours that the settings do not have any more. They go on being filled, at the cost of
// every insert.
func (p *planner) leftViews() {
	wanted := map[string]bool{}
	for _, v := range p.s.materializedViews() {
		wanted[v.name] = true
	}
	names := sortedKeys(p.have.tables)
	// Those of the finest tables first: the others then have all that these have counted.
	slices.SortStableFunc(names, func(a, b string) int {
		switch x, y := rollupOfView(a) != nil, rollupOfView(b) != nil; {
		case x && !y:
			return -1
		case y && !x:
			return 1
		}
		return 0
	})
	for _, name := range names {
		old := p.have.tables[name]
		if wanted[name] || old.Engine != "MaterializedView" || !strings.HasSuffix(name, viewSuffix) ||
			!p.isOurs(name, &old) {
			continue
		}
		why, notIn := "is not in the settings", "it is not in flow.rollups"
		if now := replacedBy(name); now != "" {
			why = "is of an earlier version, has " + now + " in its place,"
			notIn = "it is of an earlier version, " + now + " is in its place"
		}
		p.warn("view %s: %s and goes on being filled; to end that: DROP VIEW %s%s; its rows stay in %s until you "+
			"drop that too", name, why, p.s.qualified(name), p.s.onCluster(), strings.TrimSuffix(name, viewSuffix))
		if strings.HasPrefix(name, rollupPrefix) {
			p.offer(name, "DROP VIEW "+p.s.qualified(name)+p.s.onCluster(),
				"%s: table %s is not filled any more, and keeps its rows until their TTL", notIn,
				strings.TrimSuffix(name, viewSuffix))
			p.offers[len(p.offers)-1].ends = rollupOfView(name)
		}
	}
}

// replacedBy returns the view of a rollup that is in the place of an earlier version's; "" if there is none.
func replacedBy(view string) string {
	for _, r := range RollupSets() {
		for _, step := range r.Steps {
			if r.As != "" && view == rollupPrefix+r.Name+"_"+step+viewSuffix {
				return r.Table(step) + viewSuffix
			}
		}
	}
	return ""
}

// isOurs reports whether a view is one of a rollup's, or reads data_flow and was made by this package.
func (p *planner) isOurs(name string, view *existing) bool {
	if strings.HasPrefix(name, rollupPrefix) {
		return strings.Contains(view.Select, "flow_count")
	}
	return isOurQuery(view.Select) &&
		strings.Contains(view.Select, " FROM "+unquoted(p.s.Database)+"."+unquoted(p.s.local(p.s.Tables.Flow)))
}

// isOurQuery tells the SELECT of a view that this package made, now or in an earlier version, from an operator's own.
func isOurQuery(query string) bool {
	for _, part := range []string{"flow_count", "bit_count", "packet_count", "policy_originator", "start_time"} {
		if !strings.Contains(query, part) {
			return false
		}
	}
	return true
}

// unquoted renders a name as the server does in its own texts: quoted only where it has to be.
func unquoted(name string) string {
	if pathName.MatchString(name) {
		return name
	}
	return ident(name)
}

// definition cuts the name off a CREATE DICTIONARY.
func definition(create string) string {
	if i := strings.Index(create, " ("); i >= 0 {
		return create[i:]
	}
	return create
}

// storageClauses cuts partition, keys and TTL out of engine_full or of a canonical CREATE TABLE.
func storageClauses(text string) string {
	start := -1
	for _, clause := range []string{"PARTITION BY ", "PRIMARY KEY ", "ORDER BY "} {
		if start = strings.Index(text, clause); start >= 0 {
			break
		}
	}
	if start < 0 {
		return ""
	}
	text = text[start:]
	if end := strings.LastIndex(text, " SETTINGS "); end >= 0 {
		text = text[:end]
	}
	return text
}

// ttlOf cuts the TTL out of storage clauses; "" where there is none.
func ttlOf(clauses string) string {
	_, ttl, _ := strings.Cut(clauses, ttlClause)
	return strings.TrimSpace(ttl)
}

func withoutTTL(clauses string) string {
	rest, _, _ := strings.Cut(clauses, ttlClause)
	return strings.TrimSpace(rest)
}

const ttlClause = " TTL "

// orderBy cuts the sorting key out of storage clauses.
func orderBy(clauses string) string {
	i := strings.Index(clauses, "ORDER BY ")
	if i < 0 {
		return "no ORDER BY"
	}
	key, _, _ := strings.Cut(clauses[i:], ttlClause)
	return key
}
