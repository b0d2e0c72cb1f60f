package filter

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// text writes a filter with all its parentheses.
func (x *Expr) text() string {
	switch x.Op {
	case All:
		return "all"
	case Not:
		return "not(" + x.Args[0].text() + ")"
	case Test:
		var values []string
		for _, v := range x.Values {
			values = append(values, v.Text)
		}
		return fmt.Sprintf("[%s %s %s]", x.Field, x.Compare, strings.Join(values, "|"))
	}
	var parts []string
	for _, arg := range x.Args {
		parts = append(parts, arg.text())
	}
	return map[Op]string{And: "and", Or: "or"}[x.Op] + "(" + strings.Join(parts, " ") + ")"
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"":              "all",
		" \t ":          "all",
		"src.as = 1":    "[src.as = 1]",
		"src.as=1":      "[src.as = 1]",
		"src.as == 1":   "[src.as = 1]",
		"a != 1":        "not([a = 1])",
		"a <> 1":        "not([a = 1])",
		"a<1 b<=2":      "and([a < 1] [b <= 2])",
		"a>1 and b >=2": "and([a > 1] [b >= 2])",
		"src.as = 64500 and dst in 192.0.2.0/24 and not proto = icmp": "and([src.as = 64500] [dst in 192.0.2.0/24] " +
			"not([proto = icmp]))",
		"a = 1 or b = 2 and c = 3":     "or([a = 1] and([b = 2] [c = 3]))",
		"(a = 1 or b = 2) and c = 3":   "and(or([a = 1] [b = 2]) [c = 3])",
		"a = 1 (b = 2 or c = 3)":       "and([a = 1] or([b = 2] [c = 3]))",
		"NOT a = 1 AND b IN (1, 2,3)":  "and(not([a = 1]) [b in 1|2|3])",
		"a not in (1,2)":               "not([a in 1|2])",
		"!a = 1 && b = 2 || c = 3":     "or(and(not([a = 1]) [b = 2]) [c = 3])",
		"not not a = 1":                "not(not([a = 1]))",
		"if = core1::to-border":        "[if = core1::to-border]",
		`org = "Université de Genève"`: "[org = Université de Genève]",
		`org = 'it''s' `:               "",
		`org = "a \"b\" \\ c"`:         `[org = a "b" \ c]`,
		"country = in":                 "[country = in]",
		"country in (IN, or)":          "[country in IN|or]",
		"ip = 2001:db8::1":             "[ip = 2001:db8::1]",
		"name ~ uni or name !~ lab":    "or([name ~ uni] not([name ~ lab]))",
		"scope = comm:lhcone":          "[scope = comm:lhcone]",
	} {
		x, err := Parse(text)
		if want == "" {
			if err == nil {
				t.Errorf("%s is taken: %s", text, x.text())
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := x.text(); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}

func TestParse_errors(t *testing.T) {
	for text, want := range map[string]Error{
		"src.as":            {6, 0, "here the filter ends; expected =, !=, <, >, ~ or in after src.as"},
		"src.as =":          {8, 0, "here the filter ends; expected a value"},
		"= 1":               {0, 1, "expected the name of a field"},
		"a = 1 )":           {6, 1, "expected and, or, or the end"},
		"(a = 1":            {6, 0, "here the filter ends; expected a closing parenthesis"},
		"a in (1 2)":        {8, 1, "expected a comma or a closing parenthesis"},
		"a in ()":           {6, 1, "expected a value"},
		"a = 1 and":         {9, 0, "here the filter ends; expected the name of a field"},
		"a = 1 or or b = 2": {9, 2, "expected the name of a field"},
		`a = "x`:            {4, 2, "the quote is not closed"},
		"a = 1\x00":         {5, 1, "this character can stand within quotes only"},
		"a | b":             {2, 1, "this character can stand within quotes only"},
		"a not 1":           {6, 1, "expected in, like, contains or between"},
	} {
		x, err := Parse(text)
		var got *Error
		if !errors.As(err, &got) {
			t.Errorf("%q: %v, %v", text, x, err)
		} else if *got != want {
			t.Errorf("%q: %+v, want %+v", text, *got, want)
		}
	}
	for name, text := range map[string]string{
		"depth":  strings.Repeat("(", 100) + "a = 1" + strings.Repeat(")", 100),
		"nots":   strings.Repeat("not ", 100) + "a = 1",
		"tests":  strings.Repeat("a=1 ", MaxTests+1),
		"length": strings.Repeat(" ", MaxLength+1),
	} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%s is not bounded", name)
		}
	}
}

func TestError_Show(t *testing.T) {
	text := "proto = icmp and\té ="
	_, err := Parse(text)
	var bad *Error
	if !errors.As(err, &bad) {
		t.Fatal(err)
	}
	want := "proto = icmp and é =\n" + strings.Repeat(" ", 20) + "^\nhere the filter ends; expected a value"
	if got := bad.Show(text); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// What Quote writes is read as one value with the same text.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"",
		"src.as = 64500 and dst in 192.0.2.0/24 and not proto = icmp", `a = "x\"y" or (b != 'c')`,
		"a in (1, 2) !b ~ c", "((((", "not", "a = '\xff'", "a=1 && b=2 || c<>3",
		"src net 10/8 tcp port 443", "bytes between 1k and 2M", "org not like '%x%'", "a is not null, 1",
		"AS64500 icmp6", "multicast or src port 1-2"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		x, err := Parse(text)
		if err != nil {
			var bad *Error
			if !errors.As(err, &bad) || bad.At < 0 || bad.At > len(text) || bad.At+bad.Len > len(text) {
				t.Fatalf("%v: %+v", err, bad)
			}
			bad.Show(text)
			return
		}
		x.Tests(func(test *Expr) {
			if len(test.Values) == 0 {
				t.Fatal("a test without a value")
			}
			for _, value := range test.Values {
				if test.FieldLen < 1 || test.FieldAt < 0 || test.FieldAt+test.FieldLen > len(text) || value.At < 0 ||
					value.Len < 1 || value.At+value.Len > len(text) {
					t.Fatalf("a place of %+v is not in the text", test)
				}
				again, err := Parse("f = " + Quote(value.Text))
				if err != nil || again.Op != Test || again.Values[0].Text != value.Text ||
					strings.Contains(value.Text, "*") != again.Values[0].Literal {
					t.Fatalf("%q is quoted as %s and read as %+v, %v", value.Text, Quote(value.Text), again, err)
				}
			}
		})
	})
}
