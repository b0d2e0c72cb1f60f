package schema

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Question is what a query wants to know of flows: sums of flows, bits and packets, by dimensions, over a time range.
// Everything else (distinct addresses, quantiles, single flows) only data_flow answers.
type Question struct {
	// Dimensions are what the sums are grouped by, and Filters what conditions are on: columns of data_flow, paths of
	// its ext as ext.PATH, or NamedScope.
	Dimensions, Filters []string
	// From and To are the range of start_time, To not in it. The zero time is no bound.
	From, To time.Time
	// Step is the width of a point of a graph; 0 is one sum over the whole range.
	Step time.Duration
}

// Source is a table that can answer questions.
type Source struct {
	Table string
	Set   string        // the name of its Rollup; "" for data_flow
	Step  time.Duration // what its rows sum up; 0 for single flows
	// Columns are the dimensions that it has, by the name that Question uses, each with its column in Table.
	Columns map[string]string
	// Later are columns of Columns that older rows may not have yet.
	Later []string
	// Largest are the dimensions of which the table has the largest alone; nil: it has all. Only ChooseLargest returns
	// a table with them.
	Largest []string
	// Many is a dimension of which a flow has several values: the table counts a flow at each, and answers questions by
	// this dimension alone. "": it counts each flow once.
	Many string
	// From is when its rows begin: before that time it is not complete. The zero time: it has all.
	From time.Time
	// Kept is how long its rows are kept; 0 is for ever.
	Kept time.Duration
	// Shrink is how many flows one of its rows has, about.
	Shrink float64
	// Daily is whether each of its partitions has the rows of one day (UTC). ReadSources sets it.
	Daily bool
}

// Within is the condition for rows that begin in a range of whole seconds, to not in it. Where partitions and range are
// days, it is for the choice of partitions alone: to compare each row would take as long as to add up two columns.
func (s *Source) Within(from, to time.Time) string {
	condition := fmt.Sprintf("%[1]s >= toDateTime(%[2]d, 'UTC') AND %[1]s < toDateTime(%[3]d, 'UTC')", startTime,
		from.Unix(), to.Unix())
	const day = 24 * 60 * 60
	if s.Daily && from.Unix()%day == 0 && to.Unix()%day == 0 {
		return "indexHint(" + condition + ")"
	}
	return condition
}

// Flows, Bits and Packets are the expressions of the sums in the table.
func (s *Source) Flows() string {
	if s.Step == 0 {
		return "count()"
	}
	return "sum(flow_count)"
}

// Bits is the sum of bits.
func (s *Source) Bits() string { return "sum(bit_count)" }

// Packets is the sum of packets.
func (s *Source) Packets() string { return "sum(packet_count)" }

// Choice is the table that answers a question at the least cost.
type Choice struct {
	Source
	// From and To are the question's range, widened to whole steps of the table: the answer is exact for this range.
	From, To time.Time
	// Why is one line that names the table and the reason.
	Why string
	// LargestBy is a table of the largest that said which rows are read; "": no such table. Rows that it does not have
	// may be larger.
	LargestBy string
	// Passed are the cheaper tables that cannot answer, each with the reason.
	Passed []string
}

// Line is what is printed of a choice.
func (c *Choice) Line() string {
	if len(c.Passed) == 0 {
		return c.Why
	}
	return c.Why + "; not " + strings.Join(c.Passed, ", not ")
}

// fewestSteps is how many steps of a table a range that does not begin and end with its steps must have: widened to
// whole steps it is then at most a fiftieth longer.
const fewestSteps = 100

// Choose returns the cheapest of the sources that can answer a question. One without a Step (data_flow) must be among
// them; it answers what no other can. Where no exact one has rows of the whole range, it is the finest of those that
// have, and where none has them, the one that goes back furthest. now is the time of the question, for what is kept.
func Choose(q Question, sources []Source, now time.Time) Choice {
	sorted := slices.Clone(sources)
	slices.SortStableFunc(sorted, func(a, b Source) int { return compareCost(b, a) })
	var wide, old *Source // with a range that is widened, with rows of a part of the range
	var passed []string
	for i := range sorted {
		s := &sorted[i]
		if s.missing(q.Dimensions) != "" {
			continue
		}
		why, begin := s.cannot(&q), s.begin(now)
		if why != "" {
			passed = append(passed, s.Table+" ("+why+")")
			continue
		}
		if begin.After(q.From) {
			passed = append(passed, s.Table+" ("+s.beginText(now)+")")
			if old == nil || begin.Before(old.begin(now)) {
				old = s
			}
			continue
		}
		if why := s.widens(&q, now); why != "" {
			passed = append(passed, s.Table+" ("+why+")")
			if wide == nil || s.Step < wide.Step {
				wide = s
			}
			continue
		}
		return s.chosen(&q, passed)
	}
	fallback := wide
	if fallback == nil {
		fallback = old
	}
	if fallback == nil {
		return Choice{Why: "no table has these dimensions", Passed: passed}
	}
	c := fallback.chosen(&q, slices.DeleteFunc(passed, func(line string) bool {
		return strings.HasPrefix(line, fallback.Table+" (")
	}))
	if wide == nil && !q.From.IsZero() {
		c.Why += ", " + fallback.beginText(now)
	}
	return c
}

// compareCost orders sources by what reading them costs: the rows for the same flows. A wider step has fewer.
func compareCost(a, b Source) int {
	switch x, y := a.Cost(), b.Cost(); {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// Cost is what reading a table saves: about how many flows one of its rows stands for.
func (s *Source) Cost() float64 { return max(s.Shrink, 1) }

// missing is a dimension that the table does not have; "" if it has all.
func (s *Source) missing(dimensions []string) string {
	for _, d := range dimensions {
		if s.Columns[d] == "" {
			return d
		}
	}
	return ""
}

// begin is since when the table has all rows: it is filled since then, and they are kept.
func (s *Source) begin(now time.Time) time.Time {
	if kept := now.Add(-s.Kept); s.Kept > 0 && kept.After(s.From) {
		return kept
	}
	return s.From
}

// beginText says why rows before begin are not there.
func (s *Source) beginText(now time.Time) string {
	begin := s.begin(now)
	if s.Kept > 0 && begin.Equal(now.Add(-s.Kept)) {
		return "keeps rows for " + shortDuration(s.Kept)
	}
	return "complete only since " + begin.UTC().Format(time.DateTime)
}

// cannot says why a table cannot answer a question, whatever rows it has; "" if it can.
func (s *Source) cannot(q *Question) string {
	if len(s.Largest) > 0 {
		return "has the largest alone"
	}
	if s.Many != "" && !slices.Contains(q.Dimensions, s.Many) {
		return "counts a flow at each " + s.Many
	}
	if s.Step == 0 {
		return "" // what a condition names that it does not have is an error of the server
	}
	switch d := s.missing(q.Filters); d {
	case "":
	case startTime:
		return "has steps, not the time of each flow"
	default:
		return "has no " + d
	}
	if q.Step%s.Step != 0 {
		return fmt.Sprintf("steps of %s do not make %s", shortDuration(s.Step), shortDuration(q.Step))
	}
	return ""
}

// widens says that whole steps of the table are a range that is much longer than the question's; "" if they are not.
func (s *Source) widens(q *Question, now time.Time) string {
	if s.Step == 0 || q.From.Truncate(s.Step).Equal(q.From) && q.To.Truncate(s.Step).Equal(q.To) && !q.From.IsZero() {
		return ""
	}
	to := q.To
	if to.IsZero() {
		to = now
	}
	if to.Sub(q.From) < fewestSteps*s.Step {
		return fmt.Sprintf("range is not whole steps of %s, and short", shortDuration(s.Step))
	}
	return ""
}

func (s *Source) chosen(q *Question, passed []string) Choice {
	c := Choice{Source: *s, From: q.From, To: q.To, Passed: passed, Why: s.Table + ": single flows"}
	if s.Step == 0 {
		return c
	}
	if !q.From.IsZero() {
		c.From = q.From.Truncate(s.Step)
	}
	if !q.To.IsZero() {
		if c.To = q.To.Truncate(s.Step); c.To.Before(q.To) {
			c.To = c.To.Add(s.Step)
		}
	}
	c.Why = fmt.Sprintf("%s: sums of %s by %s", s.Table, shortDuration(s.Step), s.Set)
	return c
}

// shortDuration is a duration in its largest whole unit.
func shortDuration(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if d >= unit.length && d%unit.length == 0 {
			return fmt.Sprintf("%d%s", d/unit.length, unit.name)
		}
	}
	return d.String()
}

// Sources are the tables that the settings have: data_flow and the rollups that are on. They are taken as complete and
// kept for as long as the settings say; ReadSources asks the server.
func (s *Settings) Sources() []Source {
	flow := Source{Table: s.Tables.Flow, Columns: map[string]string{},
		Kept: s.keptIn(s.Tables.Flow, s.FlowTTL), Shrink: 1}
	for _, c := range FlowColumns() {
		if !c.MessageOnly && !slices.Contains(s.WithoutColumns, c.Name) {
			flow.Columns[c.Name] = ident(c.Name)
		}
	}
	if s.CountriesLater {
		flow.Later = []string{srcCountry, dstCountry}
	}
	for path := range s.flowPaths() {
		flow.Columns["ext."+path] = "ext." + path
	}
	for _, d := range derivedDimensions() {
		if d.needs == "" || s.flowPaths()[d.needs] != "" {
			flow.Columns[d.name] = d.of("")
		}
	}
	all := []Source{flow}
	for _, r := range s.rollups() {
		for _, step := range r.Steps {
			source := Source{Table: r.Table(step), Set: r.Name, Step: stepDuration(step), Columns: map[string]string{},
				Kept: s.keptIn(r.Table(step), s.rollupTTL(step)), Largest: r.Largest,
				Many: r.many(),
				// Wider steps have as many keys more or less.
				Shrink: float64(r.Shrink) * float64(stepDuration(step)/stepDuration(r.Steps[0]))}
			for _, d := range r.Dimensions {
				source.Columns[d] = ident(columnName(d))
			}
			all = append(all, source)
		}
	}
	return all
}
