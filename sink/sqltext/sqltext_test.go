package sqltext

import (
	"slices"
	"testing"
)

func TestQuoting(t *testing.T) {
	for text, want := range map[string][2]string{
		"data_flow":  {"`data_flow`", "'data_flow'"},
		"a`b":        {"`a\\`b`", "'a`b'"},
		"a'b":        {"`a'b`", "'a\\'b'"},
		`a\`:         {"`a\\\\`", `'a\\'`},
		"nul\x00":    {"`nul\\0`", `'nul\0'`},
		"ext.vlan":   {"`ext.vlan`", "'ext.vlan'"},
		"":           {"``", "''"},
		"'; DROP --": {"`'; DROP --`", `'\'; DROP --'`},
	} {
		if got := [2]string{Name(text), Text(text)}; got != want {
			t.Errorf("%q is quoted as %q, want %q", text, got, want)
		}
	}
}

func TestArguments(t *testing.T) {
	for text, want := range map[string][]string{
		"":                      nil,
		"UInt8":                 {"UInt8"},
		"a UInt8, b String":     {"a UInt8", "b String"},
		"Array(Tuple(A, B)), C": {"Array(Tuple(A, B))", "C"},
		"Enum8('x,)' = 1), `b c` String, SKIP REGEXP 'e,\\','": {"Enum8('x,)' = 1)", "`b c` String",
			"SKIP REGEXP 'e,\\','"},
		"'not closed":    {"'not closed"},
		"'ends in \\":    {"'ends in \\"},
		"a,,b":           {"a", "", "b"},
		"))), a":         {"))), a"},
		" spaces , end ": {"spaces", "end"},
	} {
		if got := Arguments(text); !slices.Equal(got, want) {
			t.Errorf("%q has arguments %q, want %q", text, got, want)
		}
	}
}
