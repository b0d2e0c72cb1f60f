package schema

import "fmt"

// derived is a dimension of questions and rollups that is no column of data_flow but made of one. Question and the
// conditions of FiltersOf name it like a column.
// form is its expression with %s for the column.
type derived struct{ name, column, form, typ, codec, comment string }

// of is the expression over data_flow with an alias; "" is none.
func (d *derived) of(alias string) string {
	if alias != "" {
		return fmt.Sprintf(d.form, alias+"."+d.column)
	}
	return fmt.Sprintf(d.form, d.column)
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

func derivedDimensions() []derived {
	return []derived{
		{NamedScope, policyScope, withoutAS + "%s)", typeTexts, codecText,
			"Scopes of policy_scope of data_flow without as:<AS>."},
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
