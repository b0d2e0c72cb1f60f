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

func TestStatements(t *testing.T) {
	for text, want := range map[string][]string{
		"":                        nil,
		" ;; \n -- nothing; \n ;": nil,
		"SELECT 1":                {"SELECT 1"},
		"SELECT 1; ":              {"SELECT 1"},
		"-- one\nSELECT 1;\n\n-- two; or more\nSELECT 2 -- end;": {"SELECT 1", "SELECT 2 -- end;"},
		`SELECT ';' AS ";", '\';' AS ` + "`;`; SELECT 'a'';'": {
			`SELECT ';' AS ";", '\';' AS ` + "`;`", "SELECT 'a'';'"},
		"/* a; */ SELECT 1 /* ; */; # b;\n SELECT 2":   {"SELECT 1 /* ; */", "SELECT 2"},
		"// a;\nSELECT 1 // ;'\n; SELECT 2 / 3":        {"SELECT 1 // ;'", "SELECT 2 / 3"},
		"/* /* ; */ ;' */ SELECT 1 /*/*;*/;*/; /**/ x": {"SELECT 1 /*/*;*/;*/", "x"},
		"SELECT 1; INSERT INTO t FORMAT CSV 1;2\n3;4;": {"SELECT 1", "INSERT INTO t FORMAT CSV 1;2\n3;4;"},
		"insert into t\nformat\tTSV\n;; \n":            {"insert into t\nformat\tTSV\n;; \n"},
		"INSERT INTO t VALUES (';'); DROP TABLE t;":    {"INSERT INTO t VALUES (';')", "DROP TABLE t"},
		"INSERT INTO t FORMAT Values (1); SELECT 1":    {"INSERT INTO t FORMAT Values (1)", "SELECT 1"},
		"INSERT INTO t (format, x) SELECT 1, 2; SELECT 3": {"INSERT INTO t (format, x) SELECT 1, 2",
			"SELECT 3"},
		"INSERT INTO reformat SELECT 'FORMAT CSV'; SELECT 1": {"INSERT INTO reformat SELECT 'FORMAT CSV'",
			"SELECT 1"},
		"SELECT 1 FORMAT CSV; SELECT 2":          {"SELECT 1 FORMAT CSV", "SELECT 2"},
		"SELECT $$a;$$, $x$;$$;$x$; SELECT a$b;": {"SELECT $$a;$$, $x$;$$;$x$", "SELECT a$b"},
		"SELECT ‘;\\’ AS “;’”; SELECT 2":         {"SELECT ‘;\\’ AS “;’”", "SELECT 2"},
		"SELECT 'not closed; SELECT 2":           {"SELECT 'not closed; SELECT 2"},
		"SELECT 1 /* not closed; SELECT 2":       {"SELECT 1 /* not closed; SELECT 2"},
		"SELECT '\\":                             {"SELECT '\\"},
	} {
		if got := Statements(text); !slices.Equal(got, want) {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

func TestParseType(t *testing.T) {
	for text, want := range map[string]Type{
		"UInt8":                        {Name: "UInt8"},
		" Array( Nullable(String) ) ":  {Name: "Array", Args: []string{"Nullable(String)"}},
		"Tuple()":                      {Name: "Tuple"},
		"Enum8('a)' = 1, 'b' = 2)":     {Name: "Enum8", Args: []string{"'a)' = 1", "'b' = 2"}},
		"DateTime64(3, 'UTC')":         {Name: "DateTime64", Args: []string{"3", "'UTC'"}},
		"Map(String, Array(UInt8))":    {Name: "Map", Args: []string{"String", "Array(UInt8)"}},
		"":                             {},
		"JSON(a.b String, SKIP c, d D": {Name: "error"},
		"Array(UInt8":                  {Name: "error"},
	} {
		got, err := ParseType(text)
		if want.Name == "error" {
			if err == nil {
				t.Errorf("%q is parsed as %+v", text, got)
			}
			continue
		}
		if err != nil || got.Name != want.Name || !slices.Equal(got.Args, want.Args) {
			t.Errorf("%q is parsed as %+v, %v, want %+v", text, got, err, want)
		}
	}
}

func TestParseElement(t *testing.T) {
	for text, want := range map[string]Element{
		"a UInt8":                     {"a", "UInt8"},
		"UInt8":                       {"", "UInt8"},
		"Tuple(a UInt8, b UInt8)":     {"", "Tuple(a UInt8, b UInt8)"},
		"`a b` Array(String)":         {"a b", "Array(String)"},
		"a.`b (c`.d String":           {"a.b (c.d", "String"},
		"`not closed String":          {"", "`not closed String"},
		"bgp.path Array(Tuple(A, B))": {"bgp.path", "Array(Tuple(A, B))"},
		"":                            {},
	} {
		if got := ParseElement(text); got != want {
			t.Errorf("%q is %+v, want %+v", text, got, want)
		}
	}
}

func TestTypedPaths(t *testing.T) {
	parsed, err := ParseType("JSON(max_dynamic_paths=0, a.b Array(UInt32), SKIP x, SKIP REGEXP 'y, z', `c` String)")
	if err != nil {
		t.Fatal(err)
	}
	want := []Element{{"a.b", "Array(UInt32)"}, {"c", "String"}}
	if got := parsed.TypedPaths(); !slices.Equal(got, want) {
		t.Errorf("typed paths %+v, want %+v", got, want)
	}
	if got := (Type{Name: "Tuple", Args: []string{"a String"}}).TypedPaths(); got != nil {
		t.Errorf("a tuple has typed paths %+v", got)
	}
}

// FuzzParseType: any text is cut without a panic, and an argument is never longer than the text.
func FuzzParseType(f *testing.F) {
	for _, seed := range []string{"Array(Tuple(a UInt8, `b c` String))", "JSON(a.b String, SKIP c)",
		"Enum8('a\\'' = 1)",
		"((((", "`", "JSON(`\\"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := ParseType(text)
		if err != nil {
			return
		}
		for _, a := range parsed.Args {
			if len(a) > len(text) {
				t.Errorf("argument %q of %q", a, text)
			}
			_ = ParseElement(a)
		}
		parsed.TypedPaths()
	})
}
