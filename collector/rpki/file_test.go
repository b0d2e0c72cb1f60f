package rpki

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestBombs has files that are made to use up memory or time: each ends with one line.
func TestBombs(t *testing.T) {
	for _, test := range []struct{ name, json, want string }{
		{"brackets", `{"x":` + strings.Repeat("[", 1<<20), "more than 100 levels deep"},
		{"brackets within a payload", `{"roas":[` + strings.Repeat("[", 20_000), "exceeded max depth"},
		{"a text that is skipped", `{"x":"` + strings.Repeat("x", 1<<20) + `"}`,
			"an entry or line of more than the 65536 bytes allowed"},
		{"a prefix", `{"roas":[{"prefix":"` + strings.Repeat("x", 1<<20) + `"}]}`,
			"an entry or line of more than the 65536 bytes allowed"},
		{"metadata", `{"metadata":{"buildtime":"` + strings.Repeat("x", 1<<20) + `"}}`,
			"an entry or line of more than the 65536 bytes allowed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := Read(strings.NewReader(test.json), time.Unix(0, 0)); err == nil ||
				!strings.Contains(err.Error(), test.want) || len(err.Error()) > 200 {
				t.Errorf("%.300v, want %s", err, test.want)
			}
		})
	}
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"metadata":{"buildtime":"2026-01-02T03:04:05Z","n":1},"roas":[{"prefix":"10.0.0.0/8",` +
		`"maxLength":24,"asn":"AS64500","ta":"ripe","expires":1900000000},` +
		`{"prefix":"2001:db8::/32","asn":64500}],"x":[{}]}`))
	f.Add([]byte(`{"metadata":{"generated":1700000000},"roas":[]}`))
	f.Add([]byte(`{"roas":[{"prefix":"::ffff:10.0.0.0/104","asn":"x"},{"prefix":7},null,[]]}`))
	f.Add([]byte(`{"roas":`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Read(strings.NewReader(string(data)), time.Unix(1_800_000_000, 0))
		if err != nil {
			return
		}
		for v := range p.Table.All() {
			if !v.Prefix.IsValid() || v.Prefix != v.Prefix.Masked() || int(v.MaxLength) < v.Prefix.Bits() {
				t.Fatalf("%+v", v)
			}
		}
	})
}

func TestRead(t *testing.T) {
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	tests := []struct {
		name, json, want string
	}{
		{"rpki-client", `{"metadata":{"buildmachine":"x","buildtime":"2026-04-30T00:00:00Z","roas":1},` +
			`"roas":[{"asn":64500,"prefix":"10.0.0.0/8","maxLength":24,"ta":"ripe","expires":1790000000}]}`,
			"10.0.0.0/8-24 AS64500, made 2026-04-30, first expires 2026-09-21"},
		{"routinator", `{"metadata":{"generated":1777500000,"generatedTime":"2026-04-29T22:00:00Z"},` +
			`"roas":[{"asn":"AS64500","prefix":"2001:db8::/32","maxLength":48,"ta":"apnic"}]}`,
			"2001:db8::/32-48 AS64500, made 2026-04-29"},
		{"stayrtr", `{"metadata":{"counts":1,"generated":1777500000},"roas":[{"prefix":"10.0.0.0/8","maxLength":8,` +
			`"asn":"AS1"},{"prefix":"10.0.0.0/8","maxLength":8,"asn":1}]}`, "10.0.0.0/8-8 AS1, made 2026-04-29"},
		{"pmacct", `{"roas":[{"asn":"AS64500","prefix":"10.1.0.0/16","maxLength":16}]}`, "10.1.0.0/16-16 AS64500"},
		{"without maxLength, bits beyond the length", `{"roas":[{"asn":"64500","prefix":"10.1.2.3/16"}]}`,
			"10.1.0.0/16-16 AS64500"},
		{"other keys before", `{"a":{"b":[1,{"c":null}]},"d":"x","roas":[],"e":[]}`, "none"},
		{"some are wrong", `{"roas":[{"asn":"AS1","prefix":"10.0.0.0/33"},{"asn":2,"prefix":"11.0.0.0/8"},` +
			`{"asn":"ASx","prefix":"12.0.0.0/8"},{"asn":3,"prefix":"13.0.0.0/8","maxLength":7},` +
			`{"asn":4,"prefix":"14.0.0.0/8","maxLength":33},{"asn":5,"prefix":"15.0.0.0/8","expires":1},7,` +
			`{"asn":6,"prefix":"::ffff:16.0.0.0/104"}]}`,
			`11.0.0.0/8-8 AS2, 7 skipped, payload 1: "10.0.0.0/33" is not a prefix`},
		{"all are wrong", `{"roas":[{"asn":"AS1","prefix":"x"}]}`,
			`all 1 payloads are invalid or have expired: payload 1: "x" is not a prefix`},
		{"no list", `{"vrps":[]}`, `the list "roas" is missing`},
		{"not an object", `[]`, "byte 1: [ instead of {"},
		{"cut off", `{"roas":[{"asn":1,"prefix":"10.0.0.0/8"},`, "byte 41: the file ends too early"},
		{"cut off behind the list", `{"roas":[]`, "byte 10: the file ends too early"},
		{"empty", ``, "byte 0: the file ends too early"},
		{"a web page", `<html>`, "byte 0: invalid character '<' looking for beginning of value"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := Read(strings.NewReader(test.json), now)
			got := ""
			if err != nil {
				got = err.Error()
			} else {
				got = "none"
				for v := range p.Table.All() {
					got = v.String()
				}
				if !p.Made.IsZero() {
					got += ", made " + p.Made.UTC().Format(time.DateOnly)
				}
				if !p.Expires.IsZero() {
					got += ", first expires " + p.Expires.UTC().Format(time.DateOnly)
				}
				if p.Skipped > 0 {
					got += fmt.Sprintf(", %d skipped, %s", p.Skipped, p.Why)
				}
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}
