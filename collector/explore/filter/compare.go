package filter

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/metranova/flow-collector/collector/commandline"
)

// What a test compares with is read here for all that evaluate filters, so that a filter means the same in each, and is
// refused by each with the same words. All errors are an *Error.

// Unknown is the error of a test whose field is none of those names.
func (x *Expr) Unknown(names []string) *Error {
	bad := &Error{At: x.FieldAt, Len: x.FieldLen, Text: x.Field + " is no field"}
	name := Canonical(x.Field)
	if instead := elsewhere[name]; instead != "" {
		bad.Text += ": " + instead
	} else {
		bad.Text += commandline.DidYouMean(name, "", names)
	}
	return bad
}

// Check returns the error of an operator that values of a kind do not have. Names of AS have no order.
func (x *Expr) Check(v Value, k Kind) error {
	switch {
	case x.Compare.Ordered() && !k.Ordered():
		return v.Bad("%s has no order: use =, in or ~", x.Field)
	case k == Address && x.Compare != Equal && x.Compare != In && x.Compare != Between:
		return v.Bad("%s is an address: use = or in", x.Field)
	case k == AS && x.Compare.Ordered():
		if _, _, ok := ASRange(v.Text); !ok {
			return v.Bad("%s is no AS number", v.Text)
		}
	}
	return nil
}

// Addresses is the range of addresses that a test compares with, see AddressRange.
func (x *Expr) Addresses(v Value) (from, to netip.Addr, err error) {
	if from, to, err = AddressRange(v.Text); err != nil {
		err = x.misread(v, Address)
	}
	return from, to, err
}

// Numbers is the range of numbers that a test compares with, see NumberRange.
func (x *Expr) Numbers(v Value, k Kind) (from, to uint64, err error) {
	if from, to, err = NumberRange(v.Text, k); err != nil || x.OfBits() && from != to {
		err = x.misread(v, k)
	}
	return from, to, err
}

// OfBits reports whether a test is true where all bits of the value are set: flags ~ SYN+ACK.
func (x *Expr) OfBits() bool { return x.Compare == Like && Canonical(x.Field) == "flags" }

// Bad is an error at the place of a value.
func (v Value) Bad(format string, args ...any) error {
	return &Error{At: v.At, Len: v.Len, Text: fmt.Sprintf(format, args...)}
}

// misread is the error of a value that is none of its field.
func (x *Expr) misread(v Value, k Kind) *Error {
	bad := &Error{At: v.At, Len: v.Len, Text: x.Field + " is a number"}
	switch name := Canonical(x.Field); {
	case k == Address:
		bad.Text = v.Text + " is neither an address nor a prefix, such as 192.0.2.0/24 or 2001:db8::/32"
		if strings.Contains(x.Field, ".") || len(x.Values) > 1 {
			break
		}
		if side, ok := sides[strings.ToLower(x.Field)]; ok {
			bad.Text += "; for others write " + side + ".as, " + side + ".org, " + side + ".port …"
		}
	case k == Size:
		bad.Text += ", such as 1500, 10k or 2.5M"
	case name == "port" || strings.HasSuffix(name, ".port"):
		bad.Text += ", such as 443 or 8000-8100; names are those of app: app = https"
	case name == "flags":
		bad.Text += " or names of flags, such as SYN+ACK"
	}
	return bad
}
