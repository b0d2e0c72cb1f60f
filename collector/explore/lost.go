package explore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/sink/schema"
	"github.com/metranova/flow-collector/sink/sqltext"
)

// Loss is a known loss of data of one exporter, for one reason.
type Loss struct {
	Missing
	Exporter string // its address; "" if it is not known
	Device   string // its id in meta_device; "" if it has none
	// First and Last are the starts of the first and of the last step with a loss.
	First, Last time.Time
}

// lost reads the losses by exporter, stage and reason into the answer, the largest first. Filters do not apply, because
// they are about flows.
func (e *Explorer) lost(ctx context.Context, a *Answer, s span) error {
	if e.Planner.settings.Tables.Loss == "" {
		return Refused("view: there is no table of losses here")
	}
	a.Query = e.Planner.lost(s, true)
	a.Queries.ask("known losses by exporter, and what was received", a.Query)
	var err error
	a.Lost, err = e.readLosses(ctx, a.Query, s)
	return err
}

// readLosses reads the losses of a query of Planner.lost, the largest first.
func (e *Explorer) readLosses(ctx context.Context, query *Query, s span) ([]Loss, error) {
	type place struct{ exporter, device, stage, reason, unit string }
	received := map[[2]string]uint64{} // count by exporter and unit
	places := map[place]*Loss{}
	var order []place
	if err := e.run(ctx, query, func(rows driver.Rows) error {
		var x place
		var missing bool
		var t int64
		var count uint64
		if err := rows.Scan(&x.exporter, &x.device, &x.stage, &x.reason, &x.unit, &missing, &t, &count); err != nil {
			return err
		}
		if !missing {
			received[[2]string{x.exporter, x.unit}] += count
			return nil
		}
		l := places[x]
		at := s.from.Add(time.Duration(t) * s.step)
		if l == nil {
			l = &Loss{Exporter: x.exporter, Device: x.device, First: at, Missing: Missing{Stage: x.stage,
				Reason: x.reason, Unit: x.unit, Points: make([]uint64, s.points())}}
			places[x], order = l, append(order, x)
		}
		l.Last = at
		l.Count += count
		if t >= 0 && int(t) < s.points() {
			l.Points[t] += count
		}
		return nil
	}); err != nil {
		return nil, err
	}
	var all []Loss
	for _, x := range order {
		l := places[x]
		unit := l.Unit
		if unit == "rows" {
			unit = "records"
		}
		if n := received[[2]string{l.Exporter, unit}]; n > 0 {
			l.Share = float64(l.Count) / float64(l.Count+n)
		}
		all = append(all, *l)
	}
	slices.SortStableFunc(all, func(x, y Loss) int { return cmp.Compare(y.Count, x.Count) })
	return all, nil
}

// lossSource returns the table of losses as the source of a query.
func (p *Planner) lossSource() schema.Choice {
	table := p.settings.Tables.Loss
	return schema.Choice{Source: schema.Source{Table: table}, Why: table + ": what is known to be lost"}
}

// lost returns the query for losses by stage, reason, unit and step, and for what was received. With byExporter each
// exporter has its own rows; otherwise exporter and device are "".
func (p *Planner) lost(s span, byExporter bool) *Query {
	var params parameters
	// Losses are counted by the minute: one in which the first step begins counts in it.
	from, to := params.text(stamp(s.from.Truncate(time.Minute))), params.text(stamp(s.to))
	start, step := params.number(uint64(s.from.Unix())), params.number(uint64(s.step/time.Second))
	exporter, device := "''", "''"
	if byExporter {
		exporter, device = "toString(exporter)", "toString(device_id)"
	}
	return &Query{sql: "SELECT " + exporter + " AS exporter, " + device + " AS device, " +
		"toString(stage) AS stage, toString(if(missing, if(reason = '', what, reason), '')) AS reason, " +
		"toString(unit) AS unit, missing, " +
		"toInt64(if(missing, intDiv(greatest(toUnixTimestamp(start_time), " + start + ") - " + start + ", " + step +
		"), 0)) AS t, " +
		"sum(count) AS lost\nFROM " + sqltext.Name(p.settings.Database) + "." +
		sqltext.Name(p.settings.Tables.Loss) + "\nWHERE (missing OR stage = 'received' AND unit IN ('datagrams', " +
		"'records')) AND start_time >= toDateTime(" + from + ", 'UTC') AND start_time < toDateTime(" + to +
		", 'UTC')\nGROUP BY exporter, device, stage, reason, unit, missing, t\n" +
		"ORDER BY t, exporter, stage, reason, unit",
		params: params, Source: p.lossSource()}
}
