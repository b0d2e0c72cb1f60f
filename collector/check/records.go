package check

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/metadata"
	"github.com/metranova/flow-collector/metadata/record"
)

// mostFindings limits the findings of one kind about records; the others are counted.
const mostFindings = 20

// records are the records of all files together.
type records struct {
	*checker
	ids      map[string]map[string]bool // by table
	wanted   []wanted
	complete map[string]bool   // tables of which all sources were read
	loopback map[string]string // the device of each address
	index    map[string]string // the interface of each device, index and side
}

// wanted is a reference to a record.
type wanted struct{ table, id, place, from, column string }

func newRecords(c *checker) *records {
	return &records{checker: c, ids: map[string]map[string]bool{}, complete: map[string]bool{},
		loopback: map[string]string{}, index: map[string]string{}}
}

// set checks the records of a set as run reads them.
func (r *records) set(set record.Set) {
	var table *record.Table
	for _, t := range record.Tables(metadata.SourceTables()...) {
		if t.Name == set.Table || r.cfg.Schema.TableName(t.Name) == set.Table {
			table = t
		}
	}
	if table == nil {
		var names []string
		for _, t := range record.Tables(metadata.SourceTables()...) {
			names = append(names, t.Name)
		}
		r.say(checkProblem, "metadata", "%s: there is no metadata table %q%s", set.Source, set.Table,
			commandline.DidYouMean(set.Table, "", names))
		return
	}
	ids := r.ids[table.Name]
	if ids == nil {
		ids = map[string]bool{}
		r.ids[table.Name] = ids
	}
	read, good, left := 0, 0, 0
	problem := func(p record.Problem) {
		if left++; left <= mostFindings {
			r.say(checkWarning, "metadata", "left out: %s", p)
		}
	}
	var row record.Row
	err := set.Each(func(raw record.Raw, place string) error {
		read++
		id := ""
		if raw["id"] != nil {
			id = fmt.Sprint(raw["id"])
		}
		next, err := table.CoerceReporting(raw, row, func(reason string) {
			problem(record.Problem{Place: place, ID: id, Reason: reason})
		})
		if err != nil {
			problem(record.Problem{Place: place, ID: id, Reason: err.Error()})
			return nil
		}
		row = next
		if id = table.ID(row); ids[id] {
			problem(record.Problem{Place: place, ID: id,
				Reason: "another record with this id comes before it; this one is left out"})
			return nil
		}
		ids[id] = true
		good++
		r.one(table, row, raw, id, place)
		return nil
	}, problem)
	switch {
	case err != nil:
		r.say(checkProblem, "metadata", "%s: %v", set.Source, err)
		return
	case read > 0 && good == 0 && !set.MayBeEmpty:
		r.say(checkProblem, "metadata", "%s: not one correct record: nothing of it is loaded", set.Source)
		return
	}
	text := fmt.Sprintf("%s: %s of %s", set.Source, commandline.Count(read, "record"), set.Table)
	if left > 0 {
		text += ", " + commandline.Count(left, "problem")
	}
	r.say(checkOK, "metadata", "%s", text)
}

// one compares a correct record with those before it.
func (r *records) one(table *record.Table, row record.Row, raw record.Raw, id, place string) {
	if !strings.Contains(place, ".y") { // only files that operators write by hand
		return
	}
	r.unknownKeys(table, raw, id, place)
	r.ranges(table, row, id, place)
	for _, c := range table.Columns {
		if c.Target == "" || c.Of == "" {
			continue
		}
		for _, of := range idsIn(row[table.Index(c.Of)]) {
			r.wanted = append(r.wanted, wanted{c.Target, of, place, id, c.Of})
		}
	}
	switch table.Name {
	case record.Device:
		addresses, _ := row[table.Index("loopback_ip")].([]string)
		for _, address := range addresses {
			if other := r.loopback[address]; other != "" && other != id {
				r.say(checkWarning, "metadata", "%s: %s: loopback_ip %s is that of %s too: rows get one of the two",
					place, id, address, other)
			}
			r.loopback[address] = id
		}
	case record.Interface:
		index, edge := row[table.Index("flow_index")], row[table.Index("edge")]
		if index == nil {
			return
		}
		key := fmt.Sprint(row[table.Index("device_id")], " ", index, " ", edge)
		if other := r.index[key]; other != "" {
			r.say(checkWarning, "metadata", "%s: %s: flow_index %v is that of %s too: rows get one of the two", place,
				id,
				index, other)
		}
		r.index[key] = id
	}
}

// ranges reports coordinates that are not on Earth, and ports from a higher to a lower one, which match nothing.
func (r *records) ranges(table *record.Table, row record.Row, id, place string) {
	number := func(column string) (float64, bool) {
		i := slices.IndexFunc(table.Columns, func(c record.Column) bool { return c.Name == column })
		if i < 0 {
			return 0, false
		}
		return record.Number(row[i])
	}
	for column, most := range map[string]float64{"latitude": 90, "longitude": 180} {
		if n, given := number(column); given && (n > most || n < -most) {
			r.say(checkWarning, "metadata", "%s: %s: %s %v is not from -%v to %[5]v", place, id, column, n, most)
		}
	}
	low, _ := number("port_range_min")
	if high, given := number("port_range_max"); given && low > high {
		r.say(checkWarning, "metadata", "%s: %s: port_range_min %v is above port_range_max %v: no port is in it", place,
			id,
			low, high)
	}
}

// unknownKeys reports keys that nothing reads.
func (r *records) unknownKeys(table *record.Table, raw record.Raw, id, place string) {
	known := []string{"ref", "hash", "insert_time"}
	for _, c := range table.Columns {
		known = append(known, c.Name)
	}
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		if slices.Contains(known, key) {
			continue
		}
		r.say(checkWarning, "metadata", "%s: %s: the key %s is unknown and ignored%s", place, id, key,
			commandline.DidYouMean(key, "", known))
	}
}

// idsIn returns the ids in a column.
func idsIn(value any) []string {
	switch v := value.(type) {
	case string:
		if v != "" {
			return []string{v}
		}
	case uint64:
		return []string{fmt.Sprint(v)}
	case []string:
		return v
	}
	return nil
}

// references reports ids that neither the files nor the tables have. conn may be nil.
func (r *records) references(ctx context.Context, conn driver.Conn) {
	missing := map[string][]string{}
	for _, w := range r.wanted {
		if !r.ids[w.table][w.id] {
			missing[w.table] = append(missing[w.table], w.id)
		}
	}
	inTable := map[string]map[string]bool{}
	for table, ids := range missing {
		found, known := r.inTable(ctx, conn, table, ids)
		if !known && !r.complete[table] {
			continue // a download may have them
		}
		inTable[table] = found
	}
	said := 0
	for _, w := range r.wanted {
		found, judged := inTable[w.table]
		if r.ids[w.table][w.id] || !judged || found[w.id] {
			continue
		}
		if said++; said <= mostFindings {
			r.say(checkWarning, "metadata", "%s: %s: %s %s is unknown: there is no such record of %s", w.place, w.from,
				w.column, w.id, w.table)
		}
	}
	if said > mostFindings {
		r.say(checkWarning, "metadata", "%d more references to unknown records", said-mostFindings)
	}
}

// inTable returns which of the ids a table of the server has; false if that is unknown.
func (r *records) inTable(ctx context.Context, conn driver.Conn, table string, ids []string) (map[string]bool, bool) {
	if conn == nil {
		return nil, false
	}
	var rows []struct {
		ID string `ch:"id"`
	}
	query := fmt.Sprintf("SELECT DISTINCT toString(id) AS id FROM `%s`.`%s` WHERE toString(id) IN ?",
		r.cfg.Schema.Database, r.cfg.Schema.TableName(table))
	if err := conn.Select(ctx, &rows, query, ids); err != nil {
		return nil, false
	}
	found := map[string]bool{}
	for _, row := range rows {
		found[row.ID] = true
	}
	return found, true
}
