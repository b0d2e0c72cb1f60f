package filter

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
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

// Check returns the error of an operator that values of a kind do not have, and of a number that no flow can have where
// names are values too. Names of AS have no order.
func (x *Expr) Check(v Value, k Kind) error {
	switch {
	case x.Compare.Ordered() && !k.Ordered():
		return v.Bad("%s has no order: use =, in or ~", x.Field)
	case k == Address && x.Compare != Equal && x.Compare != In && x.Compare != Between:
		return v.Bad("%s is an address: use = or in", x.Field)
	case x.Compare == Like:
		return nil
	case k == AS:
		return x.checkAS(v)
	case k == Application:
		return v.within(v.Text[strings.LastIndexByte(v.Text, '/')+1:], "a port", maxPort)
	}
	switch Canonical(x.Field) {
	case "proto":
		return v.within(v.Text, "a protocol", maxProtocol)
	case "community":
		if high, low, ok := strings.Cut(v.Text, ":"); ok && isDigits(high) && isDigits(low) {
			return cmp.Or(v.within(high, "each half of "+x.Field, maxCommunity),
				v.within(low, "each half of "+x.Field, maxCommunity))
		}
	}
	return nil
}

// checkAS returns the error of a value that is no AS number though it is written like one, or though the comparison
// needs one. Other values are names.
func (x *Expr) checkAS(v Value) error {
	if _, _, ok := ASRange(v.Text); ok {
		return nil
	}
	low, high, both := strings.Cut(v.Text, "-")
	_, first := ASNumber(low)
	_, second := ASNumber(high)
	switch {
	case both && first && second:
		return v.backwards()
	case likeAS(low) && (!both || likeAS(high)):
		return v.atMost("an AS number", math.MaxUint32)
	case x.Compare.Ordered():
		return v.Bad("%s is no AS number", v.Text)
	}
	return nil
}

// likeAS reports whether a text is written as an AS number, of any size.
func likeAS(text string) bool {
	if len(text) > 2 && strings.EqualFold(text[:2], "as") {
		text = text[2:]
	}
	high, low, dotted := strings.Cut(text, ".")
	return high != "" && isDigits(high) && isDigits(low) && dotted == (low != "")
}

// Addresses is the range of addresses that a test compares with, see AddressRange.
func (x *Expr) Addresses(v Value) (from, to netip.Addr, err error) {
	switch from, to, err = AddressRange(v.Text); {
	case errors.Is(err, errOrder):
		err = v.backwards()
	case err != nil:
		err = x.misread(v, Address)
	}
	return from, to, err
}

// Numbers is the range of numbers that a test compares with, see NumberRange.
func (x *Expr) Numbers(v Value, k Kind) (from, to uint64, err error) {
	field, _ := Lookup(Canonical(x.Field))
	most := cmp.Or(field.Max, math.MaxInt64)
	switch from, to, err = NumberRange(v.Text, k); {
	case errors.Is(err, errOrder):
		err = v.backwards()
	case errors.Is(err, strconv.ErrRange), err == nil && to > most:
		err = v.atMost(x.Field, most)
	case err != nil || x.OfBits() && from != to:
		err = x.misread(v, k)
	}
	return from, to, err
}

// backwards is the error of a range whose first value is the larger one.
func (v Value) backwards() error {
	low, high, _ := strings.Cut(v.Text, "-")
	return v.Bad("the first is larger: nothing is from %s to %s; write the smaller one first", low, high)
}

// within returns the error of a text that is a number above most.
func (v Value) within(text, what string, most uint64) error {
	if n, _ := strconv.ParseUint(text, 10, 64); n > most { // 0 for what is no number, the largest for what is larger
		return v.atMost(what, most)
	}
	return nil
}

// atMost is the error of a number that is larger than any of its field.
func (v Value) atMost(what string, most uint64) error {
	return v.Bad("%s is at most %d", what, most)
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
