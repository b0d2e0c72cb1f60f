package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/metranova/flow-collector/sink/schema"
)

// A field stores the value of a key.
type field struct {
	kind valueKind         // what the file may contain; a scalar is always accepted
	set  func(value) error // stores a value, or returns what is wrong with it, without the key's name
	get  func() value      // the value in the form that set accepts
}

func text(p *string) field {
	return field{get: textOf(p), set: func(v value) error { *p = v.text; return nil }}
}

// interval accepts a TTL, such as "30 DAY", in any form that ClickHouse does.
func interval(p *string) field {
	return field{get: textOf(p), set: func(v value) error { *p = schema.Interval(v.text); return nil }}
}

func texts(p *[]string) field {
	return field{kind: list, get: listOf(p), set: func(v value) error { *p = v.items(); return nil }}
}

func boolean(p *bool) field {
	return field{get: printed(p), set: func(v value) error {
		switch strings.ToLower(strings.TrimSpace(v.text)) {
		case "true", "1", "yes", "on", "y", "t":
			*p = true
		case "false", "0", "no", "off", "n", "f", "":
			*p = false
		default:
			if v.env {
				*p = false
				return ignored("is neither true nor false: it counts as false")
			}
			return fmt.Errorf("is neither true nor false")
		}
		return nil
	}}
}

// digits returns the text of a number. Variables may have it as Python's int reads it: " 10 " and "1_000".
func digits(v value) string {
	if !v.env {
		return v.text
	}
	return strings.ReplaceAll(strings.TrimSpace(v.text), "_", "")
}

func number(p *int, least, most int) field {
	return field{get: printed(p), set: func(v value) error {
		n, err := strconv.Atoi(digits(v))
		if err != nil {
			return fmt.Errorf("is not a whole number")
		}
		if n < least || n > most {
			return fmt.Errorf("is not between %d and %d", least, most)
		}
		*p = n
		return nil
	}}
}

// clamped is number, except that an environment variable that is too large or too small becomes the nearest value.
func clamped(p *int, least, most int) field {
	return field{get: printed(p), set: func(v value) error {
		n, err := strconv.Atoi(digits(v))
		switch {
		case err == nil && v.env && n > most:
			*p = most
			return ignored(fmt.Sprintf("is more than %d, which is taken instead", most))
		case err == nil && v.env && n < least:
			*p = least
			return ignored(fmt.Sprintf("is less than %d, which is taken instead", least))
		}
		return number(p, least, most).set(v)
	}}
}

// urlTemplate accepts an http or https address.
func urlTemplate(p *string) field {
	return field{get: textOf(p), set: func(v value) error {
		if v.text != "" && !strings.HasPrefix(v.text, "https://") && !strings.HasPrefix(v.text, "http://") {
			return fmt.Errorf("is not an http or https address")
		}
		*p = v.text
		return nil
	}}
}

func seconds32(p *uint) field {
	return field{get: printed(p), set: func(v value) error {
		n, err := strconv.ParseUint(digits(v), 10, 32)
		if err != nil {
			return fmt.Errorf("is not a number of seconds")
		}
		*p = uint(n)
		return nil
	}}
}

// duration accepts "90s", "10m", "24h", and a plain number as seconds, as the reference stack has them. A negative
// number is 0, which means "never" for intervals. An environment variable that is too small becomes the least value.
func duration(p *time.Duration, least time.Duration) field {
	return field{get: func() value { return value{text: DurationText(*p)} }, set: func(v value) error {
		text := strings.TrimSpace(v.text)
		d, err := time.ParseDuration(text)
		if err != nil {
			s, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return fmt.Errorf(`is not a duration such as "30s" or a number of seconds`)
			}
			d = time.Duration(s * float64(time.Second))
		}
		d = max(d, 0)
		if d < least && v.env {
			*p = least
			return ignored(fmt.Sprintf("is less than %s, which is taken instead", least))
		}
		if d < least {
			return fmt.Errorf("is less than %s", least)
		}
		*p = d
		return nil
	}}
}

var sizeUnits = []struct {
	suffix string
	factor int
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1}}

// size accepts bytes: "64MiB", "1GB" or a plain number.
func size(p *int, least int) field {
	return field{get: func() value { return value{text: sizeText(*p)} }, set: func(v value) error {
		for _, unit := range sizeUnits {
			digits, found := strings.CutSuffix(v.text, unit.suffix)
			if !found {
				continue
			}
			n, err := strconv.Atoi(strings.TrimSpace(digits))
			if err != nil || n < 0 || n > 1<<50/unit.factor {
				break
			}
			if n*unit.factor < least {
				return fmt.Errorf("is less than %d bytes", least)
			}
			*p = n * unit.factor
			return nil
		}
		return fmt.Errorf(`is not a size such as "64MiB"`)
	}}
}

// orZero is a field of numbers that may also be 0, which stands for a default that depends on other settings.
func orZero(p *int, f field) field {
	return field{get: f.get, set: func(v value) error {
		if v.text == "0" {
			*p = 0
			return nil
		}
		return f.set(v)
	}}
}

// eachItem joins the errors of all items.
func eachItem(items []string, check func(string) error) error {
	var errs []error
	for _, item := range items {
		errs = append(errs, check(item))
	}
	return errors.Join(errs...)
}

// oneOf accepts one of some words.
func oneOf(p *string, words ...string) field {
	return field{get: textOf(p), set: func(v value) error {
		for _, w := range words {
			if strings.EqualFold(strings.TrimSpace(v.text), w) {
				*p = w
				return nil
			}
		}
		named := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "" })
		return fmt.Errorf("is none of %s", strings.Join(named, ", "))
	}}
}

// samplingRates accepts "ADDRESS: RATE" and "ADDRESS/IFINDEX: RATE".
func samplingRates(p *[]SamplingRate) field {
	return field{kind: mapping, get: func() value { return ratesValue(*p) }, set: func(v value) error {
		pairs, err := v.entries()
		if err != nil {
			return err
		}
		var rates []SamplingRate
		var errs []error
		for _, entry := range pairs {
			if r, err := samplingRate(entry); err != nil {
				errs = append(errs, err)
			} else {
				rates = append(rates, r)
			}
		}
		if len(errs) > 0 {
			return errors.Join(errs...)
		}
		*p = rates
		return nil
	}}
}

func samplingRate(entry pair) (SamplingRate, error) {
	exporter, index, withIndex := strings.Cut(entry.key, "/")
	r := SamplingRate{Any: !withIndex}
	address, err := netip.ParseAddr(exporter)
	if err != nil {
		return r, fmt.Errorf("%q is not an exporter's address", exporter)
	}
	r.Exporter = address.Unmap()
	if withIndex {
		n, err := strconv.ParseUint(index, 10, 32)
		if err != nil {
			return r, fmt.Errorf("%q is not an interface index", index)
		}
		r.Interface = uint32(n)
	}
	n, err := strconv.ParseUint(entry.text, 10, 32)
	if err != nil || n == 0 {
		return r, fmt.Errorf("%q is not a sampling rate", entry.text)
	}
	r.Rate = uint32(n)
	return r, nil
}

// textMap accepts a mapping, or "key:value,key:value"; each is split at its first colon. In an environment variable an
// entry without a colon is left out, as in the reference stack.
func textMap(p *map[string]string) field {
	return field{kind: mapping, get: func() value { return mapValue(*p) }, set: func(v value) error {
		all := map[string]string{}
		if v.kind == mapping {
			for _, entry := range v.pairs {
				all[entry.key] = entry.text
			}
			*p = all
			return nil
		}
		var left error
		for _, item := range v.items() {
			key, text, found := strings.Cut(item, ":")
			switch {
			case found:
				all[strings.TrimSpace(key)] = strings.TrimSpace(text)
			case v.env:
				left = ignored(fmt.Sprintf("%q is not key:value and is left out", item))
			default:
				return fmt.Errorf("%q is not key:value", item)
			}
		}
		*p = all
		return left
	}}
}
