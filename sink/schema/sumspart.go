package schema

import (
	"fmt"
	"slices"
	"strings"
)

// rows is the table that is read where the rollup has nothing.
func (r *summed) rows(s *Settings) string {
	if r.base != nil {
		return r.base.Table
	}
	return s.Tables.Flow
}

// sumsPart selects the columns of a view from the rows or from a table of a rollup. where has the constants by their
// names.
func (s *Settings) sumsPart(r *summed, with constants, rows bool, table, where string) string {
	if rows && r.base != nil {
		return with.clause() + s.aggregatePart(r, where)
	}
	columns := []string{"start_time"}
	flows := "flow_count"
	if rows {
		columns, flows = []string{"toDateTime(f.start_time, 'UTC') AS start_time"}, "toUInt64(1) AS flow_count"
		where = ofTable(where)
	}
	for _, d := range r.dimensions() {
		columns = append(columns, s.sumsColumn(d, rows))
	}
	columns = append(columns, r.filterColumns(rows)...)
	if slices.Contains(r.Dimensions, NamedScope) {
		// For dashboards of earlier versions.
		columns = append(columns, "named_scope AS policy_scope")
	}
	columns = append(columns, flows, "bit_count", "packet_count")
	from := s.qualified(table) + " AS f"
	if rows {
		for _, d := range r.Dimensions {
			if isCountry(d) && s.countriesJoined() {
				from += s.joinCountry(d)
			}
		}
	}
	return with.clause() + "SELECT " + strings.Join(columns, ", ") + "\nFROM " + from + "\nWHERE " + where +
		r.condition(rows)
}

// nameApplications adds the names of applications to what is selected from rollups and rows, all at once: each join
// reads all applications. The last part is the aggregate, if there is one, which has them.
func (s *Settings) nameApplications(r *summed, parts []string) []string {
	var named []string
	if r.base != nil {
		parts, named = parts[:len(parts)-1], parts[len(parts)-1:]
	}
	if len(parts) == 0 {
		return named
	}
	columns := []string{"start_time"}
	for _, d := range r.dimensions() {
		if !r.becomesName(d) {
			columns = append(columns, ident(columnName(d)))
		}
	}
	columns = append(columns, "nullIf(names.id, '') AS application_id")
	for _, c := range filterColumns {
		if r.lacks(c.name) {
			columns = append(columns, c.name)
		}
	}
	columns = append(columns, "flow_count", "bit_count", "packet_count")
	return append([]string{"SELECT " + strings.Join(columns, ", ") + "\nFROM\n(\n" +
		indented(strings.Join(parts, "\nUNION ALL\n")) + "\n) AS f" + s.joinApplications()}, named...)
}

// dimensions are those that are selected from rollups and rows.
func (r *summed) dimensions() []string {
	return slices.DeleteFunc(slices.Clone(r.Dimensions), func(d string) bool { return r.edge && d == Edge })
}

// condition is what the view has of the rows or of a rollup's.
func (r *summed) condition(rows bool) string {
	condition := ""
	switch {
	case r.edge && rows:
		condition = " AND " + edgeOfInterfaces
	case r.edge:
		condition = " AND " + r.edgeCondition()
	case r.known:
		condition = " AND " + inRef + " IS NOT NULL AND " + outRef + " IS NOT NULL"
	}
	if r.largest && !rows {
		condition += " AND NOT " + Folded
	}
	return condition
}

const edgeOfInterfaces = "(in_interface_edge OR out_interface_edge)"

// edgeCondition is the condition on rows of a rollup that their flows cross the edge; "" where they do not say so.
func (r *Rollup) edgeCondition() string {
	switch {
	case slices.Contains(r.Dimensions, Edge):
		return Edge
	case slices.Contains(r.Dimensions, "in_interface_edge") && slices.Contains(r.Dimensions, "out_interface_edge"):
		return edgeOfInterfaces
	}
	return ""
}

// sumsColumn is a dimension as it is selected from data_flow or from a table of a rollup.
func (s *Settings) sumsColumn(d string, rows bool) string {
	name := ident(columnName(d))
	path, isPath := strings.CutPrefix(d, "ext.")
	switch {
	case rows && isCountry(d) && s.countriesJoined():
		return fmt.Sprintf("toLowCardinality(ifNull(%s.country, '')) AS %s", countryJoin(d), name)
	case rows && derivedOf(d) != nil:
		return s.derivedColumn(derivedOf(d)) + " AS " + name
	case rows && (d == inRef || d == outRef):
		return "toLowCardinality(f." + d + ") AS " + name
	case rows && slices.Contains(s.WithoutColumns, d):
		return fmt.Sprintf("defaultValueOfTypeName(%s) AS %s", literal(flowColumn(d).Type), name)
	case !rows || !isPath:
		return name
	case s.flowPaths()[path] == "":
		return fmt.Sprintf("defaultValueOfTypeName(%s) AS %s", literal(pathType(path)), name)
	}
	return d + " AS " + name
}

// derivedColumn is a derived dimension over data_flow. Without the path that it needs no flow has a value.
func (s *Settings) derivedColumn(d *derived) string {
	switch {
	case d.needs == "" || s.flowPaths()[d.needs] != "":
		return d.of("f")
	case d.many:
		return "toLowCardinality(arrayJoin(emptyArrayString()))"
	}
	return fmt.Sprintf("defaultValueOfTypeName(%s)", literal(d.typ))
}

// filterColumns are the columns for conditions of dashboards that the set does not have.
func (r *summed) filterColumns(rows bool) []string {
	var columns []string
	for _, c := range filterColumns {
		switch {
		case !r.lacks(c.name):
		case rows:
			columns = append(columns, c.name)
		default:
			columns = append(columns, c.none+" AS "+c.name)
		}
	}
	return columns
}

// becomesName reports whether the view has the application's name instead of the dimension.
func (r *summed) becomesName(d string) bool {
	return r.named && (d == "protocol" || d == "application_port")
}

// lacks reports whether the set does not have the column of conditions, and what it is of does.
func (r *summed) lacks(column string) bool {
	return !slices.Contains(r.Dimensions, column) && !r.known && !(r.edge && strings.HasSuffix(column, "_ip"))
}

// aggregatePart selects the columns of a view from the aggregate, whose rows are of windows that begin within the
// range.
func (s *Settings) aggregatePart(r *summed, where string) string {
	columns := []string{"toDateTime(f.start_time, 'UTC') AS start_time"}
	for _, d := range r.dimensions() {
		if !r.becomesName(d) {
			columns = append(columns, s.aggregateColumn(d))
		}
	}
	if r.named {
		columns = append(columns, "f.application_id AS application_id")
	}
	columns = append(append(columns, r.filterColumns(true)...), "flow_count", "bit_count", "packet_count")
	return "SELECT " + strings.Join(columns, ", ") + "\nFROM " + s.qualified(r.base.Table) + " AS f\nWHERE " +
		ofTable(where)
}

// aggregateColumn is a dimension as it is selected from an aggregate.
func (s *Settings) aggregateColumn(d string) string {
	if rolledType(d) != flowColumn(d).Type {
		return s.sumsColumn(d, true)
	}
	return ident(d)
}

// joinApplications looks up the name of a row's application as the aggregate does, from the table instead of the
// dictionary, which readers of the view need not have a right to.
func (s *Settings) joinApplications() string {
	d := applicationDictionary(s)
	return "\nANY LEFT JOIN (SELECT protocol, toUInt16(arrayJoin(range(toUInt32(port_range_min), " +
		"toUInt32(port_range_max) + 1))) AS port, argMax(id, port_range_min) AS id FROM (" + d.query +
		") GROUP BY protocol, port) AS names ON names.protocol = lower(f.protocol) AND names.port = f.application_port"
}
