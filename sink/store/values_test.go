package store

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// What stands behind the rows of VALUES is refused, but nothing that may stand within them or behind.
func TestValuesReader(t *testing.T) {
	for data, refused := range map[string]bool{
		"":                                 false,
		"(1)":                              false,
		" (1, 'a'), (2, 'b')\n":            false,
		"(1);":                             false,
		"(1) ;\n; \x00\u00a0":              false,
		"(1); -- done; SELECT 2":           false,
		"(1); /* done; **/ # ; \n#!x\n--":  false,
		"(1); // done; SELECT 2":           false,
		"(1); /* /* */ SELECT 2 */ ;":      false,
		"(1); /*/ */ ;":                    false,
		"(1); -":                           false, // nothing yet
		"(';')":                            false,
		"('a;b\\';', 2), ('it'';s'); ":     false,
		"(upper(';'), [1, 2], {'a': ';'})": false,
		"(\"a;)\", `b;)`)":                 false,
		"(1 /* ); SELECT 2 */)":            false,
		"(1 -- ); SELECT 2\n)":             false,
		"(1 # ); SELECT 2\n)":              false,
		"(1 // ); SELECT 2\n)":             false,
		"(1 /* /* */ ); SELECT 2 */)":      false,
		"(1; SELECT 2)":                    false, // the engine's matter
		"(1)); SELECT 2":                   false, // the engine's matter
		"($$ ); SELECT 2 $$)":              false,
		"(\u2018 ); SELECT 2 \u2019)":      false,
		"(1); SELECT 2":                    true,
		"(1);SELECT 2":                     true,
		"(1), ('a;b'); DROP TABLE t;":      true,
		"('\\\\'); SELECT 2":               true,
		"('it''s'); SELECT 2":              true,
		"(1); -- done\nSELECT 2":           true,
		"(1); /* done */ SELECT 2":         true,
		"(1); /* done **/ (2)":             true,
		"(1); // done\nSELECT 2":           true,
		"(1); /* /* */ */ SELECT 2":        true,
		"(1 // '\n); SELECT 2 // '":        true,
		"(1);;(2)":                         true,
		"(1); - 1":                         true,
		"(1); /x":                          true,
		"(1); #x":                          true,
		"(1); 'x'":                         true,
		"(1 - -1, 2 / 3); x":               true,
		"; (1)":                            true,
		"(1 /* ) */); SELECT 2":            true,
	} {
		for name, r := range map[string]io.Reader{"at once": strings.NewReader(data),
			"byte by byte": iotest.OneByteReader(strings.NewReader(data))} {
			got, err := io.ReadAll(&valuesReader{r: r})
			if full := (*exception)(nil); errors.As(err, &full) != refused || !refused && string(got) != data {
				t.Errorf("%q, %s: %q, %v", data, name, got, err)
			}
		}
	}
}

// FuzzValues: data is the same in pieces and at once, and what is refused has a semicolon with something behind it.
func FuzzValues(f *testing.F) {
	for _, data := range []string{"(1); SELECT 2", "('\\'', \"`\"); -- x\n/* */#!", "($$;$$)"} {
		f.Add([]byte(data), 3)
	}
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		var whole, parts valuesScanner
		want := whole.take(data)
		if cut = min(max(cut, 0), len(data)); (parts.take(data[:cut]) && parts.take(data[cut:])) != want {
			t.Fatalf("%q is another in pieces", data)
		}
		if _, behind, found := bytes.Cut(data, []byte(";")); !want && (!found || len(bytes.TrimSpace(behind)) == 0) {
			t.Fatalf("%q is refused", data)
		}
	})
}
