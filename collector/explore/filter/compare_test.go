package filter

import (
	"errors"
	"testing"
)

// read reads what the tests of a filter compare with, as those do who evaluate it.
func read(text string) error {
	x, err := Parse(text)
	if err != nil {
		return err
	}
	var all []error
	x.Tests(func(test *Expr) {
		field, _ := Lookup(Canonical(test.Field))
		for _, v := range test.Values {
			err := test.Check(v, field.Kind)
			switch {
			case err != nil:
			case field.Kind == Number || field.Kind == Size:
				_, _, err = test.Numbers(v, field.Kind)
			case field.Kind == Address:
				_, _, err = test.Addresses(v)
			}
			all = append(all, err)
		}
	})
	return errors.Join(all...)
}

// A number that no flow can have is an error at its place, where it would find nothing.
func TestExpr_range(t *testing.T) {
	for text, want := range map[string]struct{ value, text string }{
		"src.port = 65536":                {"65536", "src.port is at most 65535"},
		"port in (80, 0x10000)":           {"0x10000", "port is at most 65535"},
		"port 8000-70000":                 {"8000-70000", "port is at most 65535"},
		"dst.port > 99999999999999999999": {"99999999999999999999", "dst.port is at most 65535"},
		"dscp = 64":                       {"64", "dscp is at most 63"},
		"vlan = 5000":                     {"5000", "vlan is at most 4095"},
		"flags = 65536":                   {"65536", "flags is at most 65535"},
		"version = 7":                     {"7", "version is at most 6"},
		"sampling >= 4294967296":          {"4294967296", "sampling is at most 4294967295"},
		"in.ifindex = 4294967296":         {"4294967296", "in.ifindex is at most 4294967295"},
		"bytes > 99999999999999999999":    {"99999999999999999999", "bytes is at most 9223372036854775807"},
		"as = 4294967296":                 {"4294967296", "an AS number is at most 4294967295"},
		"src.as = AS4294967296":           {"AS4294967296", "an AS number is at most 4294967295"},
		"as in (1, 65536.1)":              {"65536.1", "an AS number is at most 4294967295"},
		"as > 4294967296":                 {"4294967296", "an AS number is at most 4294967295"},
		"next.as = 1-4294967296":          {"1-4294967296", "an AS number is at most 4294967295"},
		"protocol = 256":                  {"256", "a protocol is at most 255"},
		"app = 65536":                     {"65536", "a port is at most 65535"},
		"app in (tcp/443, 65536/udp)":     {"65536/udp", "a port is at most 65535"},
		"community = 64500:65536":         {"64500:65536", "each half of community is at most 65535"},
		"bytes between 5 and 1": {"5 and 1",
			"the first is larger: nothing is from 5 to 1; write the smaller one first"},
		"port = 90-80": {"90-80", "the first is larger: nothing is from 90 to 80; write the smaller one first"},
		"as = AS64501-64500": {"AS64501-64500",
			"the first is larger: nothing is from AS64501 to 64500; write the smaller one first"},
		"src 10.0.0.9-10.0.0.1": {"10.0.0.9-10.0.0.1",
			"the first is larger: nothing is from 10.0.0.9 to 10.0.0.1; write the smaller one first"},
	} {
		var bad *Error
		if err := read(text); !errors.As(err, &bad) {
			t.Errorf("%s is taken: %v", text, err)
		} else if got := text[bad.At : bad.At+bad.Len]; got != want.value || bad.Text != want.text {
			t.Errorf("%s: %s at %q, want %s at %q", text, bad.Text, got, want.text, want.value)
		}
	}
	for _, text := range []string{"src.port = 65535", "dscp = 63", "vlan = 4095", "flags = 0xFFFF", "version = 6",
		"as = 4294967295", "as = 65535.65535", "as = 1-4294967295", `as = "4294967296 Ltd"`, `as = "11-7 Inc"`,
		"as ~ 4294967296",
		"protocol = 255", "app = 65535", "app = tcp/65535", "app ~ 65536", "app = a/b", "community = 65535:65535",
		"community = 1:2:3", "bytes between 1k and 1M", "bytes <= 8P", "proto ~ 256", "as = unknown"} {
		if err := read(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}
