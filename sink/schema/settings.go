// Package schema owns the ClickHouse tables, dictionaries and materialized views: their names, columns, keys, TTL
// and partitions as existing dashboards expect them, the DDL that creates them, and bringing existing ones up to
// date. It knows nothing of rows; it imports only the ClickHouse client's interface.
package schema

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/metranova/flow-collector/sink/sqltext"
)

// Settings say which tables, dictionaries and views there are and how they are built. Start from Default.
type Settings struct {
	// Database holds everything. It is created unless SkipDatabaseCreate is set.
	Database           string
	SkipDatabaseCreate bool

	// Cluster, if not empty, adds ON CLUSTER to every statement.
	Cluster     string
	Replication Replication
	// Distributed makes of every table of rows two: NAME_local on each shard of the Cluster and, under NAME itself, a
	// Distributed table over these, which spreads rows by ShardingKey. The same row must always go to the same shard: a
	// retried insert is recognized shard by shard. Metadata tables are then whole on every shard. It needs Replication.
	Distributed bool
	ShardingKey string

	Tables Tables

	// FlowExtensions give ext of data_flow typed paths: any of bgp, ipv4, ipv6, mpls, vlan.
	FlowExtensions []string
	// WithoutColumns names the optional columns (OptionalColumns) that data_flow is made without.
	WithoutColumns []string
	// LowCardinalityRefs makes data_flow with a dictionary for each column of refs but those of AS. An existing table
	// keeps its types until the operator accepts an Offer.
	LowCardinalityRefs bool
	// IPRefExtensions type src_ip_<x>_ref and dst_ip_<x>_ref in ext of data_flow, for example scireg.
	IPRefExtensions []string
	// ASExtensions give ext of meta_as typed paths: peeringdb.
	ASExtensions []string
	// InterfaceExtensions give ext of meta_interface typed paths: any of sap, vrtr, vrtr_interface.
	InterfaceExtensions []string

	// SourceTables are the metadata tables that sources bring beside those of the data model.
	SourceTables []MetadataTable

	// MetadataOnly leaves out the tables of flows and traffic, and the views.
	MetadataOnly bool

	// FlowTTL and FlowPartitionBy belong to data_flow, the next two to data_interface_traffic.
	// A partition expression is SQL and is used as it stands; empty means no partitions.
	FlowTTL                     TTL
	FlowPartitionBy             string
	InterfaceTrafficTTL         TTL
	InterfaceTrafficPartitionBy string
	// LossTTL and LossPartitionBy belong to collector_loss.
	LossTTL         TTL
	LossPartitionBy string
	// MetadataTTL is how long versions in the meta_* tables are kept after their insert_time, such as "2 YEAR".
	// Empty keeps them for good.
	MetadataTTL string
	// StoragePolicy names the server's volumes for tables of rows, when they are created. Empty: the server's default.
	StoragePolicy string

	// Views are materialized views of data_flow, each with its own table.
	Views []View

	// Rollups are the names of the RollupSets that are on; AllRollups is all of them. RollupTTLs are how long rows of
	// each step (RollupSteps) are kept, where it is not the default; "" keeps them for good.
	Rollups    []string
	RollupTTLs map[string]string
	// RollupsLater makes no rollup that is not there yet where data_flow has rows. It is set while inserts wait that
	// may be stored already: when such an insert is retried, a view that is new counts its rows, and Fill counts them
	// too.
	RollupsLater bool
	// RollupsSince is since when rollups count rows that were made while data_flow had rows, by the rollup's name;
	// Apply fills it in. Rows that were inserted before are counted by Fill.
	RollupsSince map[string]time.Time
	// RollupsUnmade are those whose view is not there yet: RollupsSince is a guess, and another program that makes the
	// view states another time.
	RollupsUnmade map[string]bool
	// RollupsFilled are those of them that have the earlier rows too; Apply fills it in.
	RollupsFilled map[string]bool

	// Kept is for how long tables that are there keep rows, by name, 0 for good: TTLs of the settings that differ are
	// for the operator to apply. Apply fills it in.
	Kept map[string]time.Duration

	// CountriesLater says that rows of data_flow may be from before the columns of countries, which Fill looks up;
	// Apply fills it in.
	CountriesLater bool

	ApplicationDictionary Dictionary
	ASDictionary          Dictionary
	DictionarySource      DictionarySource

	// DeduplicationWindow is the number of latest inserts whose tokens a table remembers, so that a retried insert is
	// stored once; an insert into several partitions counts for each. 0 leaves the server's default, which may be none.
	// DeduplicationSeconds is for how long a replicated table remembers them; one that is not does not look at the
	// time.
	DeduplicationWindow, DeduplicationSeconds uint

	// ServerTimezone is the time zone of the server; Apply fills it in, empty is UTC. Views have DateTime
	// columns without a zone, so on a server in another zone their default partitions name UTC, like data_flow's.
	ServerTimezone string
	// Knows are the names of NewTableSettings that the server has. Apply fills it in; tables are made without others.
	Knows map[string]bool
}

// Replication makes the tables' engines Replicated…. Path and Name are used as they stand; ClickHouse expands
// its macros ({shard}, {replica}, {database}, {table}) in them.
type Replication struct {
	Enabled    bool
	Path, Name string
}

// Tables are the names of the tables. InterfaceTraffic may be empty: that table is not made then, for servers that do
// not have its engine. So may Loss.
type Tables struct {
	Flow, InterfaceTraffic, Loss                                          string
	Interface, Device, Organization, Circuit, AS, IP, Application, SciReg string
}

// TTL says when rows of a table go: Interval (such as "30 DAY") after Column. An empty Interval keeps them.
type TTL struct{ Interval, Column string }

// Duration is how long rows are kept at most after a TTL that goes by when flows began: months have 31 days here and
// years 366. It is 0 where rows are kept for good or the TTL goes by another column.
func (t TTL) Duration() time.Duration {
	var n int64
	var unit string
	if _, err := fmt.Sscan(t.Interval, &n, &unit); err != nil || t.Column != startTime {
		return 0
	}
	const day = 24 * time.Hour
	each := map[string]time.Duration{
		"SECOND": time.Second, "MINUTE": time.Minute, "HOUR": time.Hour, "DAY": day, "WEEK": 7 * day,
		"MONTH": 31 * day, "QUARTER": 92 * day, "YEAR": 366 * day,
	}[strings.ToUpper(unit)]
	if each > 0 && n > int64(math.MaxInt64/each) {
		return math.MaxInt64
	}
	return time.Duration(n) * each
}

// Dictionary are the settings of one dictionary over a metadata table. ClickHouse reloads it at a random
// moment between the lifetimes, in seconds.
type Dictionary struct {
	Enabled                  bool
	Name                     string
	LifetimeMin, LifetimeMax uint
}

// DictionarySource says as whom the dictionaries read their tables. ClickHouse keeps the definition of a
// dictionary as text, so a password given here stands in it; a NamedCollection of the server avoids that.
// With all fields empty the dictionaries read as ClickHouse's default user without a password.
type DictionarySource struct {
	Username, Password string
	NamedCollection    string
}

const (
	dailyPartition = "toYYYYMMDD(start_time)"
	startTime      = "start_time"
)

// Default returns the default settings: no extensions and no views.
func Default() Settings {
	return Settings{
		Database: "default",
		Replication: Replication{
			Path: "/clickhouse/tables/{shard}/{database}/{table}",
			Name: "{replica}",
		},
		Tables: Tables{
			Flow:             "data_flow",
			InterfaceTraffic: "data_interface_traffic",
			Loss:             "collector_loss",
			Interface:        InterfaceTable,
			Device:           DeviceTable,
			Organization:     OrganizationTable,
			Circuit:          CircuitTable,
			AS:               ASTable,
			IP:               IPTable,
			Application:      ApplicationTable,
			SciReg:           SciRegTable,
		},
		FlowTTL:                     TTL{Interval: "30 DAY", Column: startTime},
		FlowPartitionBy:             dailyPartition,
		InterfaceTrafficTTL:         TTL{Interval: "180 DAY", Column: startTime},
		InterfaceTrafficPartitionBy: dailyPartition,
		LossTTL:                     TTL{Interval: "180 DAY", Column: startTime},
		LossPartitionBy:             dailyPartition,
		ApplicationDictionary: Dictionary{Enabled: true, Name: "meta_application_dict", LifetimeMin: 600,
			LifetimeMax: 3600},
		ASDictionary: Dictionary{Enabled: true, Name: "meta_as_dict", LifetimeMin: 600,
			LifetimeMax: 3600},
		DeduplicationWindow:  20_000,
		DeduplicationSeconds: 8 * 24 * 3600,
		ShardingKey:          "cityHash64(src_ip, dst_ip)",
	}
}

var (
	plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)
	// pathName matches names that need no quotes in a JSON path.
	pathName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// KnowsFlowExtension reports whether data_flow has paths of a flow extension.
func KnowsFlowExtension(name string) bool { return flowExtensions()[name] != nil }

// KnowsInterfaceExtension reports whether meta_interface has paths of an interface extension.
func KnowsInterfaceExtension(name string) bool { _, ok := interfaceExtensionPaths[name]; return ok }

// KnowsASExtension reports whether meta_as has paths of an AS extension.
func KnowsASExtension(name string) bool { _, ok := asExtensionPaths[name]; return ok }

// Plain reports whether the TTL is one interval after which rows go, not an expression with several terms.
func (t TTL) Plain() bool { return intervalText.MatchString(t.Interval) }

// Validate reports everything that is wrong with the settings, one line each, naming the setting and its value.
func (s *Settings) Validate() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	for _, n := range s.names() {
		if !plainName.MatchString(n.value) {
			add("%s: %q is not a name (letters, digits, _ and -)", n.what, n.value)
		}
	}
	errs = append(errs, duplicateNames(s.names())...)
	for _, e := range s.FlowExtensions {
		if known := flowExtensions(); known[e] == nil {
			add("flow extension %q is none of %s", e, strings.Join(sortedKeys(known), ", "))
		}
	}
	for _, c := range s.WithoutColumns {
		if optional := OptionalColumns(); !slices.Contains(optional, c) {
			add("column %q cannot be left out, only %s", c, strings.Join(optional, ", "))
		}
	}
	for _, e := range s.ASExtensions {
		if _, ok := asExtensionPaths[e]; !ok {
			add("AS extension %q is none of %s", e, strings.Join(sortedKeys(asExtensionPaths), ", "))
		}
	}
	for _, e := range s.InterfaceExtensions {
		if _, ok := interfaceExtensionPaths[e]; !ok {
			add("interface extension %q is none of %s", e, strings.Join(sortedKeys(interfaceExtensionPaths), ", "))
		}
	}
	if s.StoragePolicy != "" && !plainName.MatchString(s.StoragePolicy) {
		add("storage policy: %q is not a name (letters, digits, _ and -)", s.StoragePolicy)
	}
	for _, e := range s.IPRefExtensions {
		if !pathName.MatchString(e) {
			add("IP reference extension %q is not a name (letters, digits and _)", e)
		}
	}
	add1 := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	add1(s.FlowTTL.validate("flow TTL"))
	add1(s.InterfaceTrafficTTL.validate("interface traffic TTL"))
	for _, t := range []struct {
		what  string
		table table
	}{
		{"flow TTL", flowTable(s)}, {"interface traffic TTL", interfaceTrafficTable(s)}, {"loss TTL", lossTable(s)},
	} {
		if c := t.table.ttl.Column; t.table.ttl.Interval != "" && t.table.column(c) == nil {
			add("%s column: %q is not a column of the table", t.what, c)
		}
	}
	add1(s.LossTTL.validate("loss TTL"))
	add1(TTL{Interval: s.MetadataTTL, Column: "insert_time"}.validate("metadata TTL"))
	add1(validateExpression("flow partition", s.FlowPartitionBy))
	add1(validateExpression("interface traffic partition", s.InterfaceTrafficPartitionBy))
	add1(validateExpression("loss partition", s.LossPartitionBy))
	for i := range s.Views {
		add1(s.Views[i].validate())
	}
	add1(s.validateRollups())
	for _, d := range []Dictionary{s.ApplicationDictionary, s.ASDictionary} {
		if d.Enabled && d.LifetimeMin > d.LifetimeMax {
			add("dictionary %s: minimum lifetime %d s is above the maximum, %d s", d.Name, d.LifetimeMin, d.LifetimeMax)
		}
	}
	if s.Replication.Enabled && (s.Replication.Path == "" || s.Replication.Name == "") {
		add("replication: path %q and name %q must both be set", s.Replication.Path, s.Replication.Name)
	}
	if s.Distributed && (s.Cluster == "" || !s.Replication.Enabled) {
		add("distributed: needs a cluster, which is %q, and replication, so that every shard has the metadata",
			s.Cluster)
	}
	if s.Distributed {
		add1(validateExpression("sharding key", s.ShardingKey))
		if s.ShardingKey == "" || strings.Contains(strings.ToLower(s.ShardingKey), "rand") {
			add("sharding key: %q does not send the same row to the same shard: a retried insert would be stored twice",
				s.ShardingKey)
		}
	}
	return errors.Join(errs...)
}

type namedSetting struct{ what, value string }

// names lists the name of every table, dictionary and view with its setting.
func (s *Settings) names() []namedSetting {
	t := &s.Tables
	names := []namedSetting{{"database", s.Database}, {"flow table", t.Flow}}
	for _, m := range s.MetadataTables() {
		names = append(names, namedSetting{m.Label + " table", m.nameIn(s)})
	}
	names = append(names, namedSetting{"table of metadata sources", SourceTable})
	if len(s.rollups()) > 0 {
		names = append(names, namedSetting{"table of filled rollups", FillTable})
	}
	if t.InterfaceTraffic != "" {
		names = append(names, namedSetting{"interface traffic table", t.InterfaceTraffic})
	}
	if t.Loss != "" {
		names = append(names, namedSetting{"loss table", t.Loss})
	}
	if s.ApplicationDictionary.Enabled {
		names = append(names, namedSetting{"application dictionary", s.ApplicationDictionary.Name})
	}
	if s.ASDictionary.Enabled {
		names = append(names, namedSetting{"AS dictionary", s.ASDictionary.Name})
	}
	for i := range s.Views {
		names = append(names, namedSetting{"table of view " + s.Views[i].label(), s.Views[i].Table})
	}
	for _, r := range s.rollups() {
		for _, step := range r.Steps {
			names = append(names, namedSetting{"table of rollup " + r.Name + " " + step, r.Table(step)})
		}
	}
	return names
}

func duplicateNames(names []namedSetting) []error {
	var errs []error
	seen := map[string]string{}
	for _, n := range names {
		if n.what == "database" {
			continue
		}
		if other, ok := seen[n.value]; ok {
			errs = append(errs, fmt.Errorf("%s: %q is the %s already", n.what, n.value, other))
			continue
		}
		seen[n.value] = n.what
	}
	return errs
}

func (t TTL) validate(what string) error {
	if t.Interval == "" {
		return nil
	}
	if intervalStart.MatchString(t.Interval) {
		if err := validateExpression(what, t.Interval); err != nil {
			return err
		}
	} else if !intervalText.MatchString(t.Interval) {
		return fmt.Errorf(`%s: %q is not an interval such as "30 DAY"`, what, t.Interval)
	}
	if !pathName.MatchString(t.Column) {
		return fmt.Errorf("%s: %q is not a column", what, t.Column)
	}
	return nil
}

// validateExpression refuses text that would end the statement, or hide what follows. Only the server can tell whether
// the expression is valid.
func validateExpression(what, expression string) error {
	for i := range expression {
		if c := expression[i]; c == ';' || c == 0 || sqltext.Comment(expression[i:]) > 0 {
			return fmt.Errorf("%s: %q is not an expression", what, expression)
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
