package schema

import "fmt"

// derived is a dimension of questions and rollups that is no column of data_flow but made of some. Question and the
// conditions of FiltersOf name it like a column.
// form is its expression with %[1]s before each column, for the alias of the table. needs is the path of ext without
// which it is not there. Where many is true, a flow has several values or none, and counts at each of them.
type derived struct {
	name, form, typ, codec, comment string
	needs                           string
	many                            bool
}

// of is the expression over data_flow with an alias; "" is none.
func (d *derived) of(alias string) string {
	if alias != "" {
		alias += "."
	}
	return fmt.Sprintf(d.form, alias)
}

// NamedScope is the derived dimension of what people call scopes: the members of policy_scope without as:<AS>, which
// every row has of both its ends. AS have rollups of their own, and with them hardly two rows have equal scopes.
// NamedScopeOf is its expression over data_flow. It leaves an array as it is that it has made.
const (
	NamedScope   = "named_scope"
	NamedScopeOf = withoutAS + policyScope + ")"
	withoutAS    = "arrayFilter(s -> NOT startsWith(s, '" + ASScope + "'), "
	policyScope  = "policy_scope"
)

// ASScope begins the policy scopes of AS.
const ASScope = "as:"

// Dimensions of a destination's route: what the paths of rpki and bgp_meta say. They are there without the extensions
// too, then empty. InvalidPrefix and InvalidAS are those of destinations whose route is invalid alone: of all others
// there are too many to sum up by.
const (
	Validation    = "dst_validation"
	RouteRouter   = "route_router"
	RouteSource   = "route_source"
	InvalidPrefix = "invalid_prefix"
	InvalidAS     = "invalid_as_id"
)

const (
	validation = "ifNull(toString(%[1]sext.rpki_dst), '')"
	isInvalid  = validation + " = 'invalid'"
)

// Community is the derived dimension of the communities of a flow's route. A flow counts at each of its own: with all
// of them together as a key, tables would have a row for few flows.
const Community = "community"

// Edge is the derived dimension of whether a flow crosses the edge of the network: the aggregate edge_as counts these.
const Edge = "edge"

func derivedDimensions() []derived {
	return []derived{
		{name: NamedScope, form: withoutAS + "%[1]s" + policyScope + ")", typ: typeTexts, codec: codecText,
			comment: "Scopes of policy_scope of data_flow without as:<AS>."},
		{name: Edge, form: "toBool(%[1]sin_interface_edge OR %[1]sout_interface_edge)", typ: "Bool", codec: codecPlain,
			comment: "Whether the flows came in or went out by an interface at the edge."},
		{name: Community, form: "toLowCardinality(arrayJoin(%[1]sext.bgp_community))", typ: typeText, codec: codecPlain,
			comment: "A member of ext.bgp_community of data_flow.", needs: "bgp_community", many: true},
		{name: Validation, form: validation, typ: typeText, codec: codecPlain,
			comment: "ext.rpki_dst of data_flow: what RPKI says of the destination's route; empty is not said."},
		{name: RouteRouter, form: "ifNull(toString(%[1]sext.bgp_router), '')", typ: typeText, codec: codecPlain,
			comment: "ext.bgp_router of data_flow: whose route it is; empty is not known."},
		{name: RouteSource, form: "ifNull(toString(%[1]sext.bgp_source), '')", typ: typeText, codec: codecPlain,
			comment: "ext.bgp_source of data_flow: where the route comes from; empty is without one."},
		{name: InvalidPrefix, form: "if(" + isInvalid + ", ifNull(toString(%[1]sext.bgp_dst_prefix), ''), '')",
			typ: "String", codec: codecText, comment: "ext.bgp_dst_prefix of data_flow, of invalid routes alone."},
		{name: InvalidAS, form: "if(" + isInvalid + ", %[1]sdst_as_id, 0)", typ: "UInt32", codec: codecPlain,
			comment: "dst_as_id of data_flow, of invalid routes alone."},
	}
}

// derivedOf returns the derived dimension of that name; nil if there is none.
func derivedOf(name string) *derived {
	for _, d := range derivedDimensions() {
		if d.name == name {
			return &d
		}
	}
	return nil
}

// many is the dimension of the rollup of which a flow has several values; "" without one.
func (r *Rollup) many() string {
	for _, d := range r.Dimensions {
		if made := derivedOf(d); made != nil && made.many {
			return d
		}
	}
	return ""
}
