package explore

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/metranova/flow-collector/collector/explore/filter"
	"github.com/metranova/flow-collector/sink/schema"
	"github.com/metranova/flow-collector/sink/sqltext"
)

// dimension is a property of flows by which they are grouped and filtered.
type dimension struct {
	Name  string // in filters and in addresses of pages: src.as
	Label string // on the page: Source AS
	Group string // heading in lists of dimensions
	Only  bool   // for filters only, not for grouping

	kind filter.Kind // as its field in filters has it
	// expr is SQL over data_flow: the key that rows are grouped by. It is never NULL. With many it is an array: a flow
	// counts for each of its elements.
	expr string
	many bool
	// raw are columns with the same keys as expr, one for one, which are cheaper to group by; nil for expr itself.
	raw []string
	// show is SQL that formats a key, %s, as text. "": toString.
	show string
	// columns are the columns of data_flow that expr reads, with paths of ext as ext.PATH.
	columns []string
	// names and fold are SELECTs of key, value and names, where names are the lower-case texts that a filter can use
	// for the key. With names the value is shown beside the key. With fold the value replaces the key, and rows are
	// grouped by value.
	names, fold string
	// speed is a SELECT of a key as text and its speed in bits per second, for dimensions that have a speed.
	speed string
	// code is a SELECT of a name and its code, of countries.
	code string
	// values says that the values of fold are arrays: a key can have several values, or none.
	values bool
	// both names the dimensions of the two ends that this one combines. With fold it has no expr: the keys of both are
	// replaced, and a flow counts once for equal values.
	both []string
	// few says that there are some hundred keys at most.
	few bool
	// stored is the same dimension where rows have its key in a column of their own, needs.
	stored *dimension
	needs  string
}

// tables builds the SQL of dimensions that read tables of metadata.
type tables struct {
	settings *schema.Settings
}

// of returns the name of the table of metadata with that standard name.
func (t tables) of(standard string) string {
	return t.name(t.settings.TableName(standard))
}

func (t tables) name(table string) string {
	return sqltext.Name(t.settings.Database) + "." + sqltext.Name(table)
}

// latest returns a SELECT of the newest version's value by id.
func (t tables) latest(standard, value string) string {
	return fmt.Sprintf("SELECT id AS key, ifNull(argMax(%s, insert_time), '') AS value, [lowerUTF8(value)] AS names "+
		"FROM %s GROUP BY id",
		value, t.of(standard))
}

// version returns a SELECT of a value by ref. Filters can also use the texts of the columns in also.
func (t tables) version(standard, value string, also ...string) string {
	names := "lowerUTF8(value)"
	for _, column := range also {
		names += ", lowerUTF8(ifNull(" + column + ", ''))"
	}
	return fmt.Sprintf("SELECT ref AS key, ifNull(%s, '') AS value, [%s] AS names FROM %s", value, names,
		t.of(standard))
}

// organizations returns a SELECT of the organization by AS number.
func (t tables) organizations() string {
	return "SELECT a.id AS key, if(o.name = '', a.organization, o.name) AS value, [lowerUTF8(value), " +
		"lowerUTF8(a.organization)] AS names FROM " +
		"(SELECT id, argMax(organization_id, insert_time) AS organization FROM " + t.of(schema.ASTable) +
		" GROUP BY id) AS a " +
		"ANY LEFT JOIN (SELECT id, argMax(name, insert_time) AS name FROM " + t.of(schema.OrganizationTable) +
		" GROUP BY id) AS o ON o.id = a.organization"
}

// devices returns a SELECT of nothing by device, with its host name and addresses as names.
func (t tables) devices() string {
	return "SELECT id AS key, '' AS value, arrayConcat([lowerUTF8(ifNull(argMax(hostname, insert_time), ''))], " +
		"arrayMap(a -> replaceOne(toString(a), '::ffff:', ''), arrayConcat(argMax(loopback_ip, insert_time), " +
		"argMax(management_ip, insert_time)))) AS names FROM " + t.of(schema.DeviceTable) + " GROUP BY id"
}

// interfaces returns a SELECT of the description by interface. Filters can also use the name on the device.
func (t tables) interfaces() string {
	return "SELECT id AS key, ifNull(argMax(description, insert_time), '') AS value, [lowerUTF8(value), " +
		"lowerUTF8(argMax(name, insert_time))] AS names FROM " + t.of(schema.InterfaceTable) + " GROUP BY id"
}

// circuits returns a SELECT of the circuits by interface. An interface can be an end of several circuits.
func (t tables) circuits() string {
	return "SELECT id AS key, argMax(circuit_id, insert_time) AS value, arrayMap(c -> lowerUTF8(c), value) AS names " +
		"FROM " +
		t.of(schema.InterfaceTable) + " GROUP BY id"
}

// countries returns a SELECT of the country's name by its code, as the columns of rows have it. Filters can use both.
func (t tables) countries() string {
	return "SELECT " + schema.CountryOf + " AS key, ifNull(nullIf(max(toString(country_name)), ''), key) AS value, " +
		"arrayPushBack(groupUniqArray(lowerUTF8(ifNull(toString(country_name), ''))), lowerUTF8(key)) AS names FROM " +
		t.of(schema.IPTable) + " GROUP BY key"
}

// storedCountry returns the dimension of a side's country that reads the column of rows.
func (t tables) storedCountry(of dimension, column string) *dimension {
	of.expr, of.fold, of.few = column, t.countries(), true
	return &of
}

// countryCodes returns a SELECT of the country code by the country's name.
func (t tables) countryCodes() string {
	return "SELECT ifNull(country_name, '') AS key, upper(max(ifNull(country_code, ''))) AS value FROM " +
		t.of(schema.IPTable) + " GROUP BY key"
}

// speeds returns a SELECT of the speed by interface in bits per second. The table has megabits per second, as
// ifHighSpeed does (RFC 2863).
func (t tables) speeds() string {
	return "SELECT id AS key, argMax(ifNull(speed, 0), insert_time) * 1000000 AS value FROM " +
		t.of(schema.InterfaceTable) +
		" GROUP BY id"
}

// circuitSpeeds returns a SELECT of the speed by circuit, which is that of its slower end.
func (t tables) circuitSpeeds() string {
	return "SELECT arrayJoin(circuits) AS key, minIf(bits, bits > 0) AS value FROM (SELECT id, " +
		"argMax(circuit_id, insert_time) AS circuits, argMax(ifNull(speed, 0), insert_time) * 1000000 AS bits FROM " +
		t.of(schema.InterfaceTable) + " GROUP BY id) GROUP BY key"
}

// applications is a SELECT of the names of applications by protocol and port. Ranges of more than a thousand ports name
// no application.
func (t tables) applications() string {
	return "SELECT concat(lower(protocol), '/', toString(arrayJoin(range(toUInt32(port_range_min), " +
		"toUInt32(port_range_max) + 1)))) AS key, " +
		"argMax(id, port_range_min) AS value, [lowerUTF8(value)] AS names FROM " + t.of(schema.ApplicationTable) +
		" FINAL WHERE port_range_max >= port_range_min AND port_range_max - port_range_min < 1000 GROUP BY key"
}

const (
	showAddress = "if(startsWith(toString(%[1]s) AS text_%[1]s, '::ffff:'), substring(text_%[1]s, 8), text_%[1]s)"
	showPrefix  = "if(startsWith(toString(%[1]s) AS text_%[1]s, '::ffff:'), concat(substring(text_%[1]s, 8), '/24'), " +
		"concat(text_%[1]s, '/48'))"
)

// showFlags formats TCP flags as filters take them: SYN+ACK.
func showFlags() string {
	return "if(%[1]s = 0, 'none', if(%[1]s > 255, toString(%[1]s), arrayStringConcat(arrayFilter((n, i) -> " +
		"bitTest(%[1]s, i), ['" + strings.Join(filter.FlagNames(), "', '") + "'], range(8)), '+')))"
}

// dimensions returns all dimensions of a store with these settings, in the order in which they are listed.
func dimensions(s *schema.Settings) []dimension {
	t := tables{s}
	var all []dimension
	for _, side := range []struct{ short, column, label string }{{"src", "src", "Source"},
		{"dst", "dst", "Destination"}} {
		all = append(all, t.ofSide(side.short, side.column, side.label)...)
	}
	all = append(all, t.ofBoth(all)...)
	all = append(all, t.ofPath()...)
	all = append(all, t.ofFlow()...)
	for i := range all {
		field, _ := filter.Lookup(all[i].Name)
		all[i].kind, all[i].both = field.Kind, field.Both
		all[i].columns = columnsOf(s, all[i].expr)
		if d := all[i].stored; d != nil {
			d.kind, d.columns = field.Kind, columnsOf(s, d.expr)
		}
	}
	return all
}

// columnName matches what can be a column of data_flow in an expression.
var columnName = regexp.MustCompile(`(ext\.)?[a-z_]+`)

// columnsOf returns the columns and paths of ext that an expression reads.
func columnsOf(s *schema.Settings, expr string) []string {
	known := map[string]bool{schema.NamedScope: true}
	for _, c := range schema.FlowColumns() {
		known[c.Name] = true
	}
	var all []string
	expr = strings.ReplaceAll(expr, schema.NamedScopeOf, schema.NamedScope)
	for _, name := range columnName.FindAllString(expr, -1) {
		if (known[name] || strings.HasPrefix(name, "ext.")) && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// ofSide returns the dimensions of one end of a flow.
func (t tables) ofSide(short, column, label string) []dimension {
	ref := fmt.Sprintf("ifNull(%s_ip_ref, '')", column)
	ip := column + "_ip"
	all := []dimension{
		{Name: short + ".as", Label: label + " AS", expr: column + "_as_id",
			names: t.latest(schema.ASTable, "name")},
		{Name: short + ".org", Label: label + " organization", expr: column + "_as_id", fold: t.organizations()},
		{Name: short + ".net", Label: label + " network", expr: ref, fold: t.version(schema.IPTable, "id")},
		{Name: short + ".ip", Label: label + " address", expr: ip, show: showAddress},
		{Name: short + ".prefix", Label: label + " prefix (/24, /48)",
			expr: "IPv6CIDRToRange(" + ip + ", if(ip_version = 4, 120, 48)).1", show: showPrefix},
		{Name: short + ".port", Label: label + " port", expr: column + "_port"},
		{Name: short + ".country", Label: label + " country", expr: ref,
			fold: t.version(schema.IPTable, "country_name", "country_code"), code: t.countryCodes()},
		{Name: short + ".city", Label: label + " city", expr: ref, fold: t.version(schema.IPTable, "city_name")},
		{Name: short + ".continent", Label: label + " continent", expr: ref,
			fold: t.version(schema.IPTable, "continent_name")},
	}
	if slices.Contains(t.settings.IPRefExtensions, "scireg") {
		registry := "ifNull(toString(ext." + column + "_ip_scireg_ref), '')"
		all = append(all,
			dimension{Name: short + ".sci.org", Label: label + " Science Registry organization", expr: registry,
				fold: t.version(schema.SciRegTable, "organization_name")},
			dimension{Name: short + ".sci.project", Label: label + " project", expr: registry,
				fold: t.version(schema.SciRegTable, "project_name")},
			dimension{Name: short + ".sci.discipline", Label: label + " discipline", expr: registry,
				fold: t.version(schema.SciRegTable, "discipline")})
	}
	for i := range all {
		d := &all[i]
		if d.Group = label; d.code != "" && t.has(column+"_country") {
			d.needs = column + "_country"
			d.stored = t.storedCountry(*d, d.needs)
		}
	}
	return all
}

// ofBoth returns the dimensions of either end: one for each pair of dimensions of source and destination.
func (t tables) ofBoth(sides []dimension) []dimension {
	var all []dimension
	for _, d := range sides {
		name, ok := strings.CutPrefix(d.Name, "src.")
		if !ok {
			continue
		}
		label := strings.TrimPrefix(d.Label, "Source ")
		d.stored, d.needs = nil, ""
		d.Name, d.Label, d.Group = name, strings.ToUpper(label[:1])+label[1:]+", either end", "Either end"
		if d.fold == "" {
			other := strings.NewReplacer("src_", "dst_")
			d.expr, d.many = "arrayDistinct(["+d.expr+", "+other.Replace(d.expr)+"])", true
		}
		all = append(all, d)
	}
	return all
}

// ofPath returns the dimensions of a flow's path: device, interfaces, circuits, routes.
func (t tables) ofPath() []dimension {
	const in, out = "ifNull(in_interface_id, '')", "ifNull(out_interface_id, '')"
	description := t.interfaces()
	all := []dimension{
		{Name: "device", Label: "Device", expr: "device_id", names: t.devices()},
		{Name: "site", Label: "Site", expr: "device_id", fold: t.latest(schema.DeviceTable, "location_name")},
		{Name: "network", Label: "Network of the device", expr: "device_id",
			fold: t.latest(schema.DeviceTable, "network")},
		{Name: "in.if", Label: "Interface in", expr: in, names: description, speed: t.speeds()},
		{Name: "out.if", Label: "Interface out", expr: out, names: description, speed: t.speeds()},
		{Name: "if", Label: "Interface, either way", expr: "arrayDistinct([" + in + ", " + out + "])", many: true,
			names: description, speed: t.speeds()},
		{Name: "in.circuit", Label: "Circuit in", expr: in, fold: t.circuits(), values: true, speed: t.circuitSpeeds()},
		{Name: "out.circuit", Label: "Circuit out", expr: out, fold: t.circuits(), values: true,
			speed: t.circuitSpeeds()},
		{Name: "circuit", Label: "Circuit, either way", fold: t.circuits(), values: true,
			speed: t.circuitSpeeds()},
		{Name: "next.as", Label: "Next AS", expr: "ifNull(peer_as_id, 0)",
			names: t.latest(schema.ASTable, "name")},
		{Name: "next.hop", Label: "BGP next hop", expr: "ifNull(peer_ip, toIPv6('::'))",
			show: showAddress},
		{Name: "vrf", Label: "VRF", expr: "ifNull(toString(ext.vrf_name), '')"},
	}
	if slices.Contains(t.settings.FlowExtensions, "bgp") {
		all = append(all,
			dimension{Name: "as.path", Label: "AS path", expr: "arrayStringConcat(ext.bgp_as_path_id, ' ')"},
			dimension{Name: "community", Label: "BGP community", expr: "ext.bgp_community", many: true})
	}
	if slices.Contains(t.settings.FlowExtensions, "vlan") {
		all = append(all, dimension{Name: "vlan", Label: "VLAN", expr: "ifNull(ext.vlan_id, 0)"})
	}
	if t.has("in_if_index") {
		all = append(all,
			dimension{Name: "in.ifindex", Label: "ifIndex in", expr: "in_if_index"},
			dimension{Name: "out.ifindex", Label: "ifIndex out", expr: "out_if_index"})
	}
	for i := range all {
		all[i].Group = "Way"
	}
	return all
}

// ofFlow returns the dimensions of a flow itself, such as its application.
func (t tables) ofFlow() []dimension {
	all := []dimension{
		{Name: "app", Label: "Application", expr: "concat(protocol, '/', toString(application_port))",
			raw:   []string{"protocol", "application_port"},
			names: t.applications()},
		{Name: "proto", Label: "Protocol", expr: "protocol"},
		{Name: "version", Label: "IP version", expr: "ip_version", show: "concat('IPv', toString(%[1]s))"},
		{Name: "scope", Label: "Policy scope", expr: schema.NamedScopeOf, many: true},
		{Name: "level", Label: "Policy level", expr: "policy_level"},
		{Name: "originator", Label: "Policy originator", expr: "policy_originator"},
		{Name: "collector", Label: "Collector", expr: "collector_id"},
		{Name: "type", Label: "Export protocol", expr: "flow_type"},
		{Name: "bytes", Label: "Bytes of the flow", expr: "intDiv(bit_count, 8)", Only: true},
		{Name: "packets", Label: "Packets of the flow", expr: "packet_count", Only: true},
	}
	if t.has("sampling_rate") {
		all = append(all, dimension{Name: "sampling", Label: "Sampling rate", expr: "sampling_rate"})
	}
	if t.has("tcp_flags") {
		all = append(all, dimension{Name: "flags", Label: "TCP flags", expr: "ifNull(tcp_flags, 0)",
			show: showFlags()})
	}
	if slices.Contains(t.settings.FlowExtensions, "ipv4") {
		all = append(all, dimension{Name: "dscp", Label: "DSCP", expr: "ifNull(ext.ipv4_dscp, 0)"})
	}
	for i := range all {
		all[i].Group = "Flow"
	}
	return all
}

// tested returns the dimension that a test compares. The scopes of a flow are those without as:<AS>; a test with a
// value that begins with as: is of all of them.
func (d *dimension) tested(x *filter.Expr) *dimension {
	if d.expr != schema.NamedScopeOf || !slices.ContainsFunc(x.Values, func(v filter.Value) bool {
		return strings.HasPrefix(strings.ToLower(v.Text), schema.ASScope)
	}) {
		return d
	}
	all := *d
	all.expr, all.columns = scopeColumn, []string{scopeColumn}
	return &all
}

// has reports whether data_flow has an optional column.
func (t tables) has(column string) bool { return !slices.Contains(t.settings.WithoutColumns, column) }

// reverse returns the dimension of the other direction: dst.as for src.as. Most dimensions have no direction.
func reverse(name string) string {
	for _, pair := range [][2]string{{"src.", "dst."}, {"in.", "out."}} {
		for i, side := range pair {
			if rest, ok := strings.CutPrefix(name, side); ok {
				return pair[1-i] + rest
			}
		}
	}
	return name
}
