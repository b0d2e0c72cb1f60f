package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Functions that return a field's value as text that its set accepts.

func textOf(p *string) func() value { return func() value { return value{text: *p} } }

func printed[T bool | int | uint](p *T) func() value {
	return func() value { return value{text: fmt.Sprint(*p)} }
}

func listOf[T any](p *[]T) func() value {
	return func() value {
		v := value{kind: list}
		for _, item := range *p {
			v.list = append(v.list, fmt.Sprint(item))
		}
		return v
	}
}

func mapValue[K cmp.Ordered | netip.Addr, V any](m map[K]V) value {
	v := value{kind: mapping}
	for name, item := range m {
		v.pairs = append(v.pairs, pair{key: fmt.Sprint(name), text: fmt.Sprint(item)})
	}
	slices.SortFunc(v.pairs, func(a, b pair) int { return cmp.Compare(a.key, b.key) })
	return v
}

func ratesValue(rates []SamplingRate) value {
	v := value{kind: mapping}
	for _, r := range rates {
		name := r.Exporter.String()
		if !r.Any {
			name = fmt.Sprintf("%s/%d", name, r.Interface)
		}
		v.pairs = append(v.pairs, pair{key: name, text: fmt.Sprint(r.Rate)})
	}
	return v
}

// DurationText returns a duration as in the settings: 24h rather than 24h0m0s.
func DurationText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// sizeText uses the largest unit that divides the size.
func sizeText(n int) string {
	for _, unit := range []string{"GiB", "MiB", "KiB"} {
		for _, u := range sizeUnits {
			if u.suffix == unit && n >= u.factor && n%u.factor == 0 {
				return fmt.Sprint(n/u.factor) + unit
			}
		}
	}
	return fmt.Sprint(n)
}

// yaml returns the value in the file's form, on one line.
func (v value) yaml() string {
	switch v.kind {
	case list:
		var items []string
		for _, item := range v.list {
			items = append(items, quoted(item, flowPlain))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case mapping:
		var items []string
		for _, p := range v.pairs {
			items = append(items, quoted(p.key, flowPlain)+": "+quoted(p.text, flowPlain))
		}
		return "{" + strings.Join(items, ", ") + "}"
	}
	return quoted(v.text, plain)
}

// Text that YAML accepts without quotes: on a line of its own, and within brackets.
var (
	plain     = regexp.MustCompile(`^[A-Za-z0-9/][A-Za-z0-9/_.:,(){}+-]*( [A-Za-z0-9/_.,(){}+-]+)*$`)
	flowPlain = regexp.MustCompile(`^[A-Za-z0-9/][A-Za-z0-9/_.()+-]*( [A-Za-z0-9/_.()+-]+)*$`)
)

func quoted(text string, plain *regexp.Regexp) string {
	if plain.MatchString(text) && !strings.Contains(text+" ", ": ") && !strings.EqualFold(text, "null") {
		return text
	}
	return strconv.Quote(text)
}
