package explore

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/collector/explore/filter"
	"github.com/metranova/flow-collector/sink/schema"
)

// Answer is what the store said to a question.
type Answer struct {
	Question   Question
	From, To   time.Time
	BeforeFrom time.Time
	Step       time.Duration // of Points
	// Fine is the step of the statistics; with Question.Step it can be shorter than Step.
	Fine    time.Duration
	Partial bool      // the last step is not over, and its rate is too low
	Widened bool      // From and To are whole steps, which is more than was asked for
	Labels  []string  // of the question's dimensions
	Series  []Series  // over time; the largest first, all others last
	Back    []Series  // of view Both: the same lines in the other direction
	Before  []float64 // the sum of the earlier time, which begins at BeforeFrom
	Links   []Link    // of Sankey and Matrix; the largest first
	Days    []Day     // of Hours
	Flows   []Flow    // of Single; the largest first
	Lost    []Loss    // of Lost; the most first
	Losses  *Losses   // nil where nobody asked
	Overlap bool      // a flow may count in several lines, so that their sum is more than all
	Query   *Query    // the main one
	Queries Statements
	Took    time.Duration
	fine    *Stats        // of all lines together, in steps of Fine; nil: of Points
	graph   time.Duration // the step of the graph
	end     time.Time     // of the figures, where it is before To
	Read    uint64        // what Estimate says of Query; 0 is not known
}

// Statement is a query that figures of an answer are from.
type Statement struct {
	What string // the figures, in a line
	*Query
}

// Statements are the queries that figures are from, in the order in which they are run.
type Statements []Statement

// ask notes a query that is about to be run. Without a list it notes nothing.
func (s *Statements) ask(what string, q *Query) {
	if s != nil {
		*s = append(*s, Statement{what, q})
	}
}

// longestLabel is how many characters of a name are shown.
const longestLabel = 80

// Shown is a text of the store as it can stand on a page, in a drawing and on a terminal: names come from devices and
// feeds. Control characters, and those that change the direction of what follows, are replaced, and a long text is cut.
func Shown(text string) string {
	if n := utf8.RuneCountInString(text); n > longestLabel {
		text = string([]rune(text)[:longestLabel-1]) + "…"
	}
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200e, r == 0x200f,
			r == 0xfffe, r == 0xffff, r == 0x2028, r == 0x2029:
			return utf8.RuneError
		}
		return r
	}, text)
}

// Link is the traffic between nodes of successive dimensions.
type Link struct {
	Nodes  []Node
	Total  float64
	Filter string // takes its flows; "" where others are among them
}

// Node is a value of a dimension. With Rank 0 it stands for all values that have no node of their own.
type Node struct {
	Key, Name string
	Rank      int
	Filter    string // takes its flows; "" for all others
}

// Label returns the node's name for people.
func (n Node) Label() string {
	if n.Rank == 0 {
		return "others"
	}
	return label(n.Key, n.Name)
}

// Day holds the mean rate of each hour of a day.
type Day struct {
	Date  string
	Hours [24]float64
}

// Explorer asks the store. Its methods are safe for concurrent use.
type Explorer struct {
	Conn    driver.Conn
	Planner *Planner
	Now     func() time.Time
	// MaxTime is how long the store may take over a query; 0: 20 seconds.
	MaxTime time.Duration
}

// ReadSources asks the store which rollups exist and since when each is complete, and tells the planner.
func (e *Explorer) ReadSources(ctx context.Context) error {
	sources, err := schema.ReadSources(ctx, e.Conn, *e.Planner.settings)
	if err != nil {
		return err
	}
	slices.SortStableFunc(sources, func(a, b schema.Source) int { return cmp.Compare(min(a.Step, 1), min(b.Step, 1)) })
	e.Planner.SetSources(sources)
	return nil
}

// Limits of a query. It has a lower priority than inserts and than queries with a higher priority setting.
const (
	maxTime   = 20 * time.Second
	maxMemory = 2 << 30
	spill     = 1 << 30
	maxRows   = 5_000_000_000
)

// limits are the settings of every query: it only reads, has bounds, and ends when nobody waits for it.
func (e *Explorer) limits(id string) chgo.Settings {
	return chgo.Settings{
		"max_execution_time": int(cmp.Or(e.MaxTime, maxTime) / time.Second), "max_memory_usage": maxMemory,
		"max_bytes_before_external_group_by": spill,
		"max_bytes_before_external_sort":     spill, "max_rows_to_read": maxRows, "priority": 10,
		"log_comment": strings.TrimSpace("explore " + id), "cancel_http_readonly_queries_on_client_close": 1,
		"readonly": 2,
	}
}

// Ask answers a question, without its Losses and Read. The error of a filter is a *filter.Error.
func (e *Explorer) Ask(ctx context.Context, q Question) (*Answer, error) {
	started := time.Now()
	s := q.span(e.Now())
	a := &Answer{Question: q, From: s.from, To: s.to, Step: s.step, Fine: s.step, Partial: s.partial,
		Widened: s.widened, graph: s.graph}
	by, err := e.Planner.by(&q, false)
	if err != nil {
		return nil, err
	}
	for _, d := range by {
		a.Labels = append(a.Labels, d.Label)
		a.Overlap = a.Overlap || d.several()
	}
	switch q.View {
	case Sankey, Matrix:
		err = e.links(ctx, a, s, by)
	case Hours:
		err = e.hours(ctx, a, s)
	case Single:
		err = e.flows(ctx, a, s)
	case Lost:
		err = e.lost(ctx, a, s)
	default:
		err = e.series(ctx, a, s, by)
	}
	if err != nil {
		return nil, err
	}
	a.Took = time.Since(started)
	return a, nil
}

// Estimate returns about how many rows a query reads, by the parts and marks that its conditions select. 0: unknown.
func (e *Explorer) Estimate(ctx context.Context, q *Query) uint64 {
	read := uint64(0)
	plan := &Query{sql: "EXPLAIN ESTIMATE " + q.sql, params: q.params}
	if err := e.run(ctx, plan, func(rows driver.Rows) error {
		var database, table string
		var parts, count, marks uint64
		if err := rows.Scan(&database, &table, &parts, &count, &marks); err != nil {
			return err
		}
		if table == q.Source.Table {
			read += count
		}
		return nil
	}); err != nil {
		return 0 // the answer is there all the same
	}
	return read
}

// values returns the query's parameters for the client.
func (q *Query) values() chgo.Parameters {
	params := chgo.Parameters{}
	for _, p := range q.params.values {
		params[p.name] = p.sent()
	}
	return params
}

// run executes a query and calls scan for each row.
func (e *Explorer) run(ctx context.Context, q *Query, scan func(driver.Rows) error) error {
	return e.runWithin(ctx, e.limits(idOf(ctx)), q, scan)
}

// runWithin is run with other limits than those of questions.
func (e *Explorer) runWithin(ctx context.Context, limits chgo.Settings, q *Query, scan func(driver.Rows) error) error {
	ctx = chgo.Context(ctx, chgo.WithParameters(q.values()), chgo.WithSettings(limits))
	rows, err := e.Conn.Query(ctx, q.sql)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (e *Explorer) series(ctx context.Context, a *Answer, s span, by []*dimension) error {
	asked := a.Question
	if asked.View == Map {
		if len(by) != 1 || by[0].code == "" {
			return Refused("by: a map needs a country: src.country, dst.country or country")
		}
		asked.Top = mostCountries
	}
	query, err := e.Planner.series(&asked, s, e.Now(), false)
	if err != nil {
		return err
	}
	a.Query = query
	a.Queries.ask("the largest lines by step (rank 0: all others)", query)
	if a.Series, err = e.lines(ctx, query, len(by), s, a.Question.Unit); err != nil {
		return err
	}
	all := 0.0
	for i := range a.Series {
		all += a.Series[i].Total
	}
	for i := range a.Series {
		line := &a.Series[i]
		line.rate(line.Points[:s.complete()], all)
		if line.Rank != 0 {
			line.Filter = condition(by, line.Keys)
		}
	}
	if a.Question.View == Both {
		if err := e.back(ctx, a, s, by); err != nil {
			return err
		}
	}
	if a.Question.Before != NoBefore {
		if err := e.before(ctx, a, s, by); err != nil {
			return err
		}
	}
	a.coarsen()
	if len(by) == 1 && by[0].speed != "" && a.Question.Unit == Bits {
		if err := e.speeds(ctx, a, s, by[0]); err != nil {
			return err
		}
	}
	if a.Question.View == Map {
		if err := e.codes(ctx, a, by[0]); err != nil {
			return err
		}
	}
	return e.nameSeries(ctx, a, by)
}

// lines executes a query of Planner.series for n dimensions. The lines have keys, points and totals; the largest is the
// first, all others are last.
func (e *Explorer) lines(ctx context.Context, query *Query, n int, s span, unit Unit) ([]Series, error) {
	byRank := map[uint64]*Series{}
	if err := e.run(ctx, query, func(rows driver.Rows) error {
		keys := make([]string, n)
		var rank uint64
		var t int64
		var v float64
		into := make([]any, 0, n+3)
		for i := range keys {
			into = append(into, &keys[i])
		}
		if err := rows.Scan(append(into, &rank, &t, &v)...); err != nil {
			return err
		}
		if t < 0 || int(t) >= s.points() {
			return nil
		}
		line := byRank[rank]
		if line == nil {
			empty := newLine(keys, int(rank), s)
			line = &empty
			byRank[rank] = line
		}
		line.Points[t] += unit.figure(v, s.step)
		line.Total += v
		return nil
	}); err != nil {
		return nil, err
	}
	var all []Series
	for _, line := range byRank {
		all = append(all, *line)
	}
	slices.SortFunc(all, func(x, y Series) int { return cmp.Compare(uint(x.Rank-1), uint(y.Rank-1)) })
	return all, nil
}

// condition returns the filter that selects the flows of a line.
func condition(by []*dimension, keys []string) string {
	var all []string
	for i, d := range by {
		key := keys[i]
		if key == "" {
			key = "unknown"
		}
		all = append(all, d.Name+" = "+filter.Quote(key))
	}
	text := strings.Join(all, " and ")
	if len(text) > longestCondition || !utf8.ValidString(text) {
		return "" // such a link would weigh more than the page, or cannot be written
	}
	return text
}

// Is is the filter for one value of a field.
func Is(field, value string) string { return field + " = " + filter.Quote(value) }

// longestCondition is the most bytes that the filter of a line has.
const longestCondition = 1000

// Table returns the name of the table that the figures are from.
func (a *Answer) Table() string { return a.Query.Source.Table }

// Mean is the figure of a sum over all the time: a rate, or a volume.
func (a *Answer) Mean(sum float64) float64 { return a.Question.Unit.figure(sum, a.To.Sub(a.From)) }

// Empty reports whether there is nothing to show.
func (a *Answer) Empty() bool {
	return len(a.Series)+len(a.Links)+len(a.Days)+len(a.Flows)+len(a.Lost) == 0
}

// Sum returns the statistics of all lines together.
func (a *Answer) Sum() Stats {
	if a.fine != nil {
		return *a.fine
	}
	var all Stats
	var points []float64
	for i := range a.Series {
		all.Total += a.Series[i].Total
		if points == nil {
			points = make([]float64, len(a.Series[i].Points))
		}
		for j, v := range a.Series[i].Points {
			points[j] += v
		}
	}
	if a.Partial && len(points) > 0 {
		points = points[:len(points)-1]
	}
	all.rate(points, all.Total)
	return all
}

// OnlyPartial reports whether all flows are of the last step, which is not over, so that no rate is known.
func (a *Answer) OnlyPartial() bool {
	all := a.Sum()
	return a.Partial && all.Total > 0 && all.Max == 0
}
