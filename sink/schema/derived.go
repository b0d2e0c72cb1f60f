package schema

import "fmt"

// derived is a dimension of questions and rollups that is no column of data_flow but made of some. Question and the
// conditions of FiltersOf name it like a column.
// form is its expression with %[1]s before each column, for the alias of the table.
type derived struct{ name, form, typ, codec, comment string }

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

// Edge is the derived dimension of whether a flow crosses the edge of the network: the aggregate edge_as counts these.
const Edge = "edge"

func derivedDimensions() []derived {
	return []derived{
		{NamedScope, withoutAS + "%[1]s" + policyScope + ")", typeTexts, codecText,
			"Scopes of policy_scope of data_flow without as:<AS>."},
		{Edge, "toBool(%[1]sin_interface_edge OR %[1]sout_interface_edge)", "Bool", codecPlain,
			"Whether the flows came in or went out by an interface at the edge."},
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
