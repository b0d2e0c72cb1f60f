package schema

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"
)

// Kind is the set of dimensions of a view.
type Kind int

// The kinds of views. ByEdgeAS takes flows that cross an edge interface, ByInterface flows of which both
// interfaces are known, ByIPVersion every flow.
const (
	ByEdgeAS Kind = iota
	ByInterface
	ByIPVersion
)

// String returns the part of a table's name that stands for the kind.
func (k Kind) String() string {
	switch k {
	case ByEdgeAS:
		return "edge_as"
	case ByInterface:
		return "interface"
	case ByIPVersion:
		return "ip_version"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// View is one materialized view of data_flow and the table that it fills. Start from NewView.
type View struct {
	Kind Kind
	// Window is the interval that flows are summed over: a number and s, m, h, d, w, mo or y, such as "5m".
	Window string
	// Table is the target table's name; the view's name is the same with _mv after it.
	Table string
	TTL   TTL
	// PartitionBy is an SQL expression, used as it stands; empty means no partitions.
	PartitionBy string
	// With PolicyOverride the aggregate has this policy, else that of its flows.
	PolicyOverride bool
	PolicyLevel    string
	PolicyScope    []string
}

// NewView returns a view of that kind and window with the default name, TTL, partition and policy.
func NewView(kind Kind, window string) View {
	return View{
		Kind:           kind,
		Window:         window,
		Table:          "data_flow_by_" + kind.String() + "_" + window,
		TTL:            TTL{Interval: "5 YEAR", Column: startTime},
		PartitionBy:    dailyPartition,
		PolicyOverride: true,
		PolicyLevel:    "tlp:green",
		PolicyScope:    []string{"comm:re"},
	}
}

// duration is about how long a window is, for comparisons.
func (v *View) duration() time.Duration {
	interval, err := windowInterval(v.Window)
	if err != nil {
		return 0 // Validate has refused it
	}
	return TTL{Interval: interval, Column: startTime}.Duration()
}

func (v *View) label() string { return v.Kind.String() + " " + v.Window }

// name returns the view's name. Table is the table that it fills.
func (v *View) name() string { return v.Table + viewSuffix }

const viewSuffix = "_mv"

func (v *View) validate() error {
	if v.Kind < ByEdgeAS || v.Kind > ByIPVersion {
		return fmt.Errorf("view %s: no such kind", v.label())
	}
	if _, err := windowInterval(v.Window); err != nil {
		return fmt.Errorf("view %s: %w", v.label(), err)
	}
	if err := v.TTL.validate("TTL of view " + v.label()); err != nil {
		return err
	}
	if v.PolicyOverride && v.PolicyLevel == "" {
		return fmt.Errorf("view %s: policy override without a policy level", v.label())
	}
	return validateExpression("partition of view "+v.label(), v.PartitionBy)
}

var (
	windowText  = regexp.MustCompile(`^([1-9][0-9]{0,5})(s|m|h|d|w|mo|y)$`)
	windowUnits = map[string]string{
		"s": "SECOND", "m": "MINUTE", "h": "HOUR", "d": "DAY", "w": "WEEK", "mo": "MONTH", "y": "YEAR",
	}
)

// windowInterval turns a window ("5m") into ClickHouse's words ("5 MINUTE").
func windowInterval(window string) (string, error) {
	m := windowText.FindStringSubmatch(strings.ToLower(window))
	if m == nil {
		return "", fmt.Errorf("window %q is not a number and s, m, h, d, w, mo or y", window)
	}
	return m[1] + " " + windowUnits[m[2]], nil
}

// columns are the key columns of the kind, between the policy and the counts.
func (k Kind) columns() []column {
	device := []column{
		{name: "device_id", typ: "LowCardinality(String)"},
		{name: "device_ref", typ: "Nullable(String)"},
	}
	interfaces := []column{
		{name: "in_interface_id", typ: "LowCardinality(Nullable(String))"},
		{name: "in_interface_ref", typ: "Nullable(String)"},
		{name: "in_interface_edge", typ: "Bool"},
		{name: "out_interface_id", typ: "LowCardinality(Nullable(String))"},
		{name: "out_interface_ref", typ: "Nullable(String)"},
		{name: "out_interface_edge", typ: "Bool"},
	}
	version := column{name: "ip_version", typ: "UInt8"}
	switch k {
	case ByEdgeAS:
		columns := []column{
			// Typed whatever the extensions are: the key needs the path.
			jsonColumn("ext", paths{"bgp_as_path_id": "Array(UInt32)"}),
			{name: "src_as_id", typ: "UInt32"},
			{name: "src_as_ref", typ: "Nullable(String)"},
			{name: "dst_as_id", typ: "UInt32"},
			{name: "dst_as_ref", typ: "Nullable(String)"},
		}
		columns = append(columns, device...)
		columns = append(columns, column{name: "application_id", typ: "LowCardinality(Nullable(String))"})
		columns = append(columns, interfaces...)
		return append(columns, version)
	case ByInterface:
		return append(device, interfaces...)
	default:
		return []column{version}
	}
}

// keys are the primary key of the kind and what the sorting key has after it. A SummingMergeTree sums rows of
// equal sorting key, so every column but the counts is in it.
func (k Kind) keys() (primary, rest []string) {
	policy := []string{"policy_originator", "policy_level", "policy_scope"}
	switch k {
	case ByEdgeAS:
		return []string{"src_as_id", "dst_as_id", "start_time"}, append(policy,
			"ext.bgp_as_path_id", "src_as_ref", "dst_as_ref", "device_id", "device_ref", "application_id",
			"in_interface_id", "in_interface_ref", "in_interface_edge",
			"out_interface_id", "out_interface_ref", "out_interface_edge", "ip_version")
	case ByInterface:
		return []string{"in_interface_id", "out_interface_id", "start_time"}, append([]string{
			"in_interface_ref", "in_interface_edge", "out_interface_ref", "out_interface_edge",
		}, append(policy, "device_id", "device_ref")...)
	default:
		return []string{"ip_version", "start_time"}, policy
	}
}

// filter returns the SQL condition on the flows that the kind counts.
func (k Kind) filter() string {
	switch k {
	case ByEdgeAS:
		return "WHERE in_interface_edge = true OR out_interface_edge = true"
	case ByInterface:
		return "WHERE in_interface_ref IS NOT NULL AND out_interface_ref IS NOT NULL"
	default:
		return ""
	}
}

// target returns the table that the view fills.
func (v *View) target(s *Settings) table {
	columns := []column{
		{name: "start_time", typ: "DateTime"},
		{name: "policy_originator", typ: "LowCardinality(Nullable(String))"},
		{name: "policy_level", typ: "LowCardinality(Nullable(String))"},
		{name: "policy_scope", typ: "Array(LowCardinality(String))"},
	}
	columns = append(columns, v.Kind.columns()...)
	columns = append(columns,
		column{name: "flow_count", typ: "UInt64"},
		column{name: "bit_count", typ: "UInt64"},
		column{name: "packet_count", typ: "UInt64"},
	)
	describe(columns)
	primary, rest := v.Kind.keys()
	return table{
		name:        v.Table,
		engine:      "SummingMergeTree",
		engineArgs:  "(flow_count, bit_count, packet_count)",
		columns:     columns,
		partitionBy: v.partition(s),
		primaryKey:  primary,
		orderBy:     append(append([]string{}, primary...), rest...),
		nullableKey: true,
		ttl:         v.TTL,
	}
}

// describe gives the columns of a view's table their comments and codecs: those of data_flow, but for what is the
// view's own.
func describe(columns []column) {
	own := map[string]string{
		"start_time":     "Start of the window.",
		"application_id": "The application: id in meta_application.",
		"ext":            "bgp_as_path_id: AS path without repetitions, nearest first.",
		"flow_count":     "How many flows; sum it.",
		"bit_count":      "Bytes on the wire * 8 * sampling rate; sum it.",
		"packet_count":   "Packets * sampling rate; sum it.",
	}
	for i := range columns {
		c := &columns[i]
		of := flowColumn(c.name)
		c.comment, c.codec = cmp.Or(own[c.name], of.Comment), cmp.Or(of.Codec, codecPlain)
		if c.name == "flow_count" {
			c.codec = codecCounter
		}
	}
}

// partition returns the partition expression. Daily partitions are UTC days, whatever the server's time zone is.
func (v *View) partition(s *Settings) string {
	if v.PartitionBy == dailyPartition && !isUTC(s.ServerTimezone) {
		return "toYYYYMMDD(start_time, 'UTC')"
	}
	return v.PartitionBy
}

func isUTC(zone string) bool {
	switch zone {
	case "", "UTC", "Etc/UTC", "Zulu", "Etc/Zulu", "UCT", "Etc/UCT", "Universal", "Etc/Universal", "GMT", "Etc/GMT":
		return true
	}
	return false
}

// viewTerm is a column of the view's table: what the inner SELECT has for it, the key that this is called, and what
// becomes of it. A constant has a result alone.
type viewTerm struct{ inner, key, result string }

// query renders the SELECT of the view. The inner one sums the flows of an insert up before anything is made of their
// keys: a SummingMergeTree would, too, but by sorting all of them by every column, which takes several times as long.
func (v *View) query(s *Settings) string {
	var inner, keys, outer []string
	for _, t := range v.terms(s) {
		if t.key != "" {
			inner, keys = append(inner, t.inner), append(keys, t.key)
		}
		outer = append(outer, t.result)
	}
	inner = append(inner, "count() AS flows", "sum(bit_count) AS bits", "sum(packet_count) AS packets")
	outer = append(outer, "flows AS flow_count", "bits AS bit_count", "packets AS packet_count")
	from := s.qualified(s.local(s.Tables.Flow))
	if f := v.Kind.filter(); f != "" {
		from += "\n    " + f
	}
	return "SELECT\n    " + strings.Join(outer, ",\n    ") + "\nFROM\n(\n    SELECT\n        " +
		strings.Join(inner, ",\n        ") +
		"\n    FROM " + from + "\n    GROUP BY " + strings.Join(keys, ", ") + "\n)"
}

// terms are the columns of the view's table before its counts.
func (v *View) terms(s *Settings) []viewTerm {
	same := func(name string) viewTerm { return viewTerm{name, name, name} }
	terms := []viewTerm{{v.startTerm() + " AS window_start", "window_start", "window_start AS start_time"},
		same("policy_originator")}
	if v.PolicyOverride {
		terms = append(terms, viewTerm{result: literal(v.PolicyLevel) + " AS policy_level"},
			viewTerm{result: literalArray(v.PolicyScope) + " AS policy_scope"})
	} else {
		terms = append(terms, same("policy_level"), same("policy_scope"))
	}
	for _, c := range v.Kind.columns() {
		switch c.name {
		case "ext":
			terms = append(terms, s.asPathTerm())
		case "application_id":
			terms = append(terms, s.applicationTerm())
		default:
			terms = append(terms, same(c.name))
		}
	}
	return terms
}

// startTerm is the start of the window. For weeks and longer ClickHouse returns a Date, which would become
// midnight in the server's time zone.
func (v *View) startTerm() string {
	interval, err := windowInterval(v.Window)
	if err != nil {
		return startTime // Validate has refused it
	}
	term := "toStartOfInterval(" + v.heldTime(interval) + ", INTERVAL " + interval + ")"
	switch interval[strings.IndexByte(interval, ' ')+1:] {
	case "WEEK", "MONTH", "YEAR":
		return "toDateTime(" + term + ", 'UTC')"
	}
	return term
}

// heldTime is start_time as the view's table can hold it. Its column is a DateTime: a time before 1970 or after 2106
// would come out as another one, and so would what the TTL adds to it. Flows of such times are counted in the first or
// last window there is.
func (v *View) heldTime(interval string) string {
	first := "1970-01-01"
	if strings.HasSuffix(interval, "WEEK") {
		first = "1970-01-05" // the first Monday
	}
	// The latest year whose rows have a TTL that DateTime can hold, and those after it that have none.
	last := max(2105-int(math.Ceil(v.TTL.Duration().Hours()/(366*24))), 2038)
	return fmt.Sprintf("least(greatest(start_time, toDateTime64('%s 00:00:00', 3, 'UTC')), toDateTime64('%d-01-01 "+
		"00:00:00', 3, 'UTC'))", first, last)
}

// asPathTerm is ext of the edge_as view. Without the bgp extension data_flow has no typed path to read.
func (s *Settings) asPathTerm() viewTerm {
	if _, ok := s.flowPaths()["bgp_as_path_id"]; !ok {
		return viewTerm{result: "'{}' AS ext"}
	}
	return viewTerm{"ext.bgp_as_path_id AS as_path", "as_path", "toJSONString(map('bgp_as_path_id', as_path)) AS ext"}
}

// applicationTerm names the application of the port. The dictionary's name is qualified: it is resolved in the
// database of whoever inserts.
func (s *Settings) applicationTerm() viewTerm {
	d := &s.ApplicationDictionary
	if !d.Enabled {
		return viewTerm{result: "CAST(NULL, 'Nullable(String)') AS application_id"}
	}
	const name = "application_id"
	return viewTerm{fmt.Sprintf("dictGetOrNull(%s, 'id', lower(protocol), application_port) AS %s",
		literal(s.Database+"."+d.Name), name), name, name}
}
