package explore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/collector/explore/filter"
)

// Answer is what the store said to a question.
type Answer struct {
	Question Question
	From, To time.Time
	Step     time.Duration
	Partial  bool      // the last step is not over, and its rate is too low
	Labels   []string  // of the question's dimensions
	Series   []Series  // over time; the largest first, all others last
	Back     []Series  // of view Both: the same lines in the other direction
	Before   []float64 // the sum of the earlier time
	Links    []Link    // of Sankey and Matrix; the largest first
	Days     []Day     // of Hours
	Missing  []Missing
	Overlap  bool // a flow may count in several lines, so that their sum is more than all
	Query    *Query
	Table    string // that the rows are from
	Took     time.Duration
}

// Series is a line of a graph, with what is below the graph.
type Series struct {
	Keys   []string // as filters take them
	Names  []string // of the keys; "" for none
	Rank   int      // 0: all others together
	Points []float64
	Stats
	Filter string // takes the flows of the line; "" where there is no such filter
}

// Label is what people call the line.
func (s *Series) Label() string {
	if s.Rank == 0 {
		return "others"
	}
	var parts []string
	for i, key := range s.Keys {
		parts = append(parts, label(key, s.Names[i]))
	}
	if len(parts) == 0 {
		return "all"
	}
	return strings.Join(parts, " → ")
}

func label(key, name string) string {
	switch {
	case key == "":
		return "unknown"
	case name == "":
		return key
	}
	return key + " " + name
}

// Stats are rates over whole steps, in the question's unit a second, and the volume in the unit.
type Stats struct {
	Min, Mean, P95, Max, Last float64
	Total                     float64 // in all steps, the last one included
	Share                     float64 // of all
}

// Link is how much goes from a node of one dimension to one of the next.
type Link struct {
	Nodes  []Node
	Total  float64
	Filter string // takes its flows; "" where others are among them
}

// Node is a value of a dimension; Rank 0 is all others together.
type Node struct {
	Key, Name string
	Rank      int
}

// Label is what people call the node.
func (n Node) Label() string {
	if n.Rank == 0 {
		return "others"
	}
	return label(n.Key, n.Name)
}

// Day is the rate of every hour of a day.
type Day struct {
	Date  string
	Hours [24]float64
}

// Missing is something that the rows of the time lack.
type Missing struct {
	Stage, Reason, Unit string
	Count               uint64
}

// Explorer asks the store. Its methods are safe for concurrent use.
type Explorer struct {
	Conn    driver.Conn
	Planner *Planner
	Now     func() time.Time
}

// What a question may cost. A query gives way to inserts, and to queries of more weight.
const (
	maxSeconds = 20
	maxMemory  = 2 << 30
	spill      = 1 << 30
)

// Ask answers a question. The error of a filter is a *filter.Error.
func (e *Explorer) Ask(ctx context.Context, q Question) (*Answer, error) {
	started := time.Now()
	s := q.span(e.Now())
	a := &Answer{Question: q, From: s.from, To: s.to, Step: s.step, Partial: s.partial,
		Table: e.Planner.settings.Tables.Flow}
	by, err := e.Planner.by(&q, false)
	if err != nil {
		return nil, err
	}
	for _, d := range by {
		a.Labels = append(a.Labels, d.Label)
		a.Overlap = a.Overlap || d.many || d.values || len(d.both) > 0
	}
	switch q.View {
	case Sankey, Matrix:
		err = e.links(ctx, a, s, by)
	case Hours:
		err = e.hours(ctx, a, s)
	default:
		err = e.series(ctx, a, s, by)
	}
	if err != nil {
		return nil, err
	}
	if e.Planner.settings.Tables.Loss != "" {
		if a.Missing, err = e.missing(ctx, s); err != nil {
			return nil, err
		}
	}
	a.Took = time.Since(started)
	return a, nil
}

// values are the query's parameters as the client takes them.
func (q *Query) values() chgo.Parameters {
	params := chgo.Parameters{}
	for _, p := range q.params.values {
		params[p.name] = p.sent()
	}
	return params
}

// run asks one query and calls scan for each row.
func (e *Explorer) run(ctx context.Context, q *Query, scan func(driver.Rows) error) error {
	ctx = chgo.Context(ctx, chgo.WithParameters(q.values()), chgo.WithSettings(chgo.Settings{
		"max_execution_time": maxSeconds, "max_memory_usage": maxMemory, "max_bytes_before_external_group_by": spill,
		"max_bytes_before_external_sort": spill, "priority": 10, "log_comment": "explore",
	}))
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
	query, err := e.Planner.series(&a.Question, s, false)
	if err != nil {
		return err
	}
	a.Query = query
	lines := map[uint64]*Series{}
	if err := e.points(ctx, query, len(by), s, func(keys []string, rank uint64, t int, v float64) {
		line := lines[rank]
		if line == nil {
			line = &Series{Keys: keys, Names: make([]string, len(keys)), Rank: int(rank),
				Points: make([]float64, s.points())}
			lines[rank] = line
		}
		line.Points[t] += v / s.step.Seconds()
		line.Total += v
	}); err != nil {
		return err
	}
	all := 0.0
	for _, line := range lines {
		all += line.Total
		a.Series = append(a.Series, *line)
	}
	slices.SortFunc(a.Series, func(x, y Series) int { return cmp.Compare(uint(x.Rank-1), uint(y.Rank-1)) })
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
	if err := e.nameSeries(ctx, a, by); err != nil {
		return err
	}
	if a.Question.Before != NoBefore {
		return e.before(ctx, a, s)
	}
	return nil
}

// points runs a query of series.
func (e *Explorer) points(ctx context.Context, query *Query, n int, s span,
	add func(keys []string, rank uint64, t int, v float64)) error {
	return e.run(ctx, query, func(rows driver.Rows) error {
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
		if t >= 0 && int(t) < s.points() {
			add(keys, rank, int(t), v)
		}
		return nil
	})
}

// back asks for the other direction, and adds up by the same lines: what has none is among the others.
func (e *Explorer) back(ctx context.Context, a *Answer, s span, by []*dimension) error {
	other := a.Question
	other.Top = MaxTop
	query, err := e.Planner.series(&other, s, true)
	if err != nil {
		return err
	}
	if len(a.Series) == 0 || len(by) > 0 && a.Series[len(a.Series)-1].Rank != 0 {
		others := Series{Keys: make([]string, len(by)), Names: make([]string, len(by)),
			Points: make([]float64, s.points())}
		if len(by) == 0 {
			others.Rank = 1
		}
		a.Series = append(a.Series, others)
	}
	lines := map[string]int{}
	for i, line := range a.Series {
		a.Back = append(a.Back, Series{Rank: line.Rank, Points: make([]float64, s.points())})
		if line.Rank != 0 {
			lines[strings.Join(line.Keys, "\x00")] = i
		}
	}
	all := 0.0
	if err := e.points(ctx, query, len(by), s, func(keys []string, rank uint64, t int, v float64) {
		i, ok := lines[strings.Join(keys, "\x00")]
		if !ok || rank == 0 {
			i = len(a.Back) - 1
		}
		a.Back[i].Points[t] += v / s.step.Seconds()
		a.Back[i].Total += v
		all += v
	}); err != nil {
		return err
	}
	for i := range a.Back {
		a.Back[i].rate(a.Back[i].Points[:s.complete()], all)
	}
	return nil
}

// before adds the sum of the period before, step by step.
func (e *Explorer) before(ctx context.Context, a *Answer, s span) error {
	alone, earlier := a.Question, s.before(a.Question.Before)
	alone.By = nil
	query, err := e.Planner.series(&alone, earlier, false)
	if err != nil {
		return err
	}
	a.Before = make([]float64, s.points())
	return e.points(ctx, query, 0, earlier, func(_ []string, _ uint64, t int, v float64) {
		a.Before[t] += v / s.step.Seconds()
	})
}

// rate fills in the statistics of whole steps.
func (s *Stats) rate(points []float64, all float64) {
	if all > 0 {
		s.Share = s.Total / all
	}
	if len(points) == 0 {
		return
	}
	sorted := slices.Sorted(slices.Values(points))
	s.Min, s.Max, s.Last = sorted[0], sorted[len(sorted)-1], points[len(points)-1]
	// The nearest rank: at least 95 % of the steps are not above it.
	s.P95 = sorted[(len(sorted)*95+99)/100-1]
	for _, v := range points {
		s.Mean += v / float64(len(points))
	}
}

// condition is the filter for the flows of a line.
func condition(by []*dimension, keys []string) string {
	var all []string
	for i, d := range by {
		key := keys[i]
		if key == "" {
			key = "unknown"
		}
		all = append(all, d.Name+" = "+filter.Quote(key))
	}
	return strings.Join(all, " and ")
}

func (e *Explorer) links(ctx context.Context, a *Answer, s span, by []*dimension) error {
	if len(by) < 2 || a.Question.View == Matrix && len(by) != 2 {
		return fmt.Errorf("by: a %s needs %s", a.Question.View,
			map[View]string{Sankey: "two to four dimensions", Matrix: "two dimensions"}[a.Question.View])
	}
	query, err := e.Planner.flows(&a.Question, s)
	if err != nil {
		return err
	}
	a.Query = query
	if err := e.run(ctx, query, func(rows driver.Rows) error {
		link := Link{Nodes: make([]Node, len(by))}
		ranks := make([]uint64, len(by))
		var into []any
		for i := range by {
			into = append(into, &link.Nodes[i].Key, &ranks[i])
		}
		if err := rows.Scan(append(into, &link.Total)...); err != nil {
			return err
		}
		var keys []string
		for i, rank := range ranks {
			link.Nodes[i].Rank = int(rank)
			keys = append(keys, link.Nodes[i].Key)
		}
		if !slices.Contains(ranks, 0) {
			link.Filter = condition(by, keys)
		}
		a.Links = append(a.Links, link)
		return nil
	}); err != nil {
		return err
	}
	return e.nameLinks(ctx, a, by)
}

func (e *Explorer) hours(ctx context.Context, a *Answer, s span) error {
	query, err := e.Planner.hours(&a.Question, s)
	if err != nil {
		return err
	}
	a.Query = query
	return e.run(ctx, query, func(rows driver.Rows) error {
		var date string
		var hour uint8
		var v float64
		if err := rows.Scan(&date, &hour, &v); err != nil {
			return err
		}
		if n := len(a.Days); n == 0 || a.Days[n-1].Date != date {
			a.Days = append(a.Days, Day{Date: date})
		}
		if hour < 24 {
			a.Days[len(a.Days)-1].Hours[hour] = v / 3600
		}
		return nil
	})
}

// nameSeries gives the keys of lines their names.
func (e *Explorer) nameSeries(ctx context.Context, a *Answer, by []*dimension) error {
	for i, d := range by {
		var keys []string
		for _, line := range a.Series {
			if line.Rank != 0 {
				keys = append(keys, line.Keys[i])
			}
		}
		names, err := e.names(ctx, d, keys)
		if err != nil {
			return err
		}
		for j := range a.Series {
			a.Series[j].Names[i] = names[a.Series[j].Keys[i]]
			a.Series[j].Keys[i] = d.key(a.Series[j].Keys[i])
		}
	}
	return nil
}

func (e *Explorer) nameLinks(ctx context.Context, a *Answer, by []*dimension) error {
	for i, d := range by {
		var keys []string
		for _, link := range a.Links {
			if !slices.Contains(keys, link.Nodes[i].Key) {
				keys = append(keys, link.Nodes[i].Key)
			}
		}
		names, err := e.names(ctx, d, keys)
		if err != nil {
			return err
		}
		for j := range a.Links {
			node := &a.Links[j].Nodes[i]
			node.Name, node.Key = names[node.Key], d.key(node.Key)
		}
	}
	return nil
}

// key is how people write a key.
func (d *dimension) key(text string) string {
	if d.kind == as && text != "" && text != "0" {
		return "AS" + text
	}
	if d.kind == as {
		return ""
	}
	return text
}

// names asks for the names of keys; none where the dimension has none.
func (e *Explorer) names(ctx context.Context, d *dimension, keys []string) (map[string]string, error) {
	names := map[string]string{}
	if d.names == "" || len(keys) == 0 {
		return names, nil
	}
	err := e.run(ctx, e.Planner.names(d, keys), func(rows driver.Rows) error {
		var key, name string
		if err := rows.Scan(&key, &name); err != nil {
			return err
		}
		names[key] = name
		return nil
	})
	return names, err
}

func (e *Explorer) missing(ctx context.Context, s span) ([]Missing, error) {
	var all []Missing
	err := e.run(ctx, e.Planner.missing(s), func(rows driver.Rows) error {
		var m Missing
		if err := rows.Scan(&m.Stage, &m.Reason, &m.Unit, &m.Count); err != nil {
			return err
		}
		all = append(all, m)
		return nil
	})
	return all, err
}
