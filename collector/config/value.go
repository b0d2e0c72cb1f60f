package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// A value is a key's value in a file or the environment: a text, a list, or pairs.
type value struct {
	text  string
	list  []string
	pairs []pair
	kind  valueKind
	env   bool // an environment variable with a name of the reference stack: everything that is valid there is accepted
}

type pair struct {
	key, text string
	env       string // the variable that it comes from, if any
	where     string // and where it is set
}

type valueKind int

const (
	scalar valueKind = iota
	list
	mapping
)

func (k valueKind) String() string { return [...]string{"a single value", "a list", "a mapping"}[k] }

// items returns the value as a list: a text is split at commas, like the reference stack's environment variables.
func (v value) items() []string {
	if v.kind == list {
		return v.list
	}
	var items []string
	for item := range strings.SplitSeq(v.text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// entries returns the value as pairs: a text is "key:value,key:value"; each is split at its last colon.
func (v value) entries() ([]pair, error) {
	if v.kind == mapping {
		return v.pairs, nil
	}
	var pairs []pair
	for _, item := range v.items() {
		i := strings.LastIndexByte(item, ':')
		if i < 0 {
			return nil, fmt.Errorf("%q is not key:value", item)
		}
		pairs = append(pairs, pair{key: strings.TrimSpace(item[:i]), text: strings.TrimSpace(item[i+1:])})
	}
	return pairs, nil
}

func (v value) String() string {
	switch v.kind {
	case list:
		return "[" + strings.Join(v.list, ", ") + "]"
	case mapping:
		return "{…}"
	}
	return strconv.Quote(v.text)
}

// A field stores the value of a key.
type field struct {
	kind valueKind         // what the file may contain; a scalar is always accepted
	set  func(value) error // stores a value, or returns what is wrong with it, without the key's name
	get  func() value      // the value in the form that set accepts
}

// The kinds of fields, each with its own form of value.

func text(p *string) field {
	return field{get: textOf(p), set: func(v value) error { *p = v.text; return nil }}
}

func texts(p *[]string) field {
	return field{kind: list, get: listOf(p), set: func(v value) error { *p = v.items(); return nil }}
}

func boolean(p *bool) field {
	return field{get: printed(p), set: func(v value) error {
		switch strings.ToLower(v.text) {
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

func number(p *int, least, most int) field {
	return field{get: printed(p), set: func(v value) error {
		n, err := strconv.Atoi(v.text)
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

// atMost is number, except that an environment variable that is too large becomes the largest value.
func atMost(p *int, least, most int) field {
	return field{get: printed(p), set: func(v value) error {
		if n, err := strconv.Atoi(v.text); err == nil && v.env && n > most {
			*p = most
			return ignored(fmt.Sprintf("is more than %d, which is taken instead", most))
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
		n, err := strconv.ParseUint(v.text, 10, 32)
		if err != nil {
			return fmt.Errorf("is not a number of seconds")
		}
		*p = uint(n)
		return nil
	}}
}

// duration accepts "90s", "10m", "24h", and a plain number as seconds, as the reference stack has them. A negative
// number is 0, which means "never" for intervals.
func duration(p *time.Duration, least time.Duration) field {
	return field{get: func() value { return value{text: durationText(*p)} }, set: func(v value) error {
		d, err := time.ParseDuration(v.text)
		if err != nil {
			s, err := strconv.ParseFloat(v.text, 64)
			if err != nil {
				return fmt.Errorf(`is not a duration such as "30s" or a number of seconds`)
			}
			d = time.Duration(s * float64(time.Second))
		}
		d = max(d, 0)
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

func addresses(p *[]string) field {
	return field{kind: list, get: listOf(p), set: func(v value) error {
		items := v.items()
		if len(items) == 0 {
			return fmt.Errorf("names no address")
		}
		if err := eachItem(items, checkAddress); err != nil {
			return err
		}
		*p = items
		return nil
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

// addressesOrOff accepts addresses, or "off" or nothing for none.
func addressesOrOff(p *[]string) field {
	return field{kind: list, get: listOf(p), set: func(v value) error {
		if items := v.items(); len(items) == 0 || len(items) == 1 && strings.EqualFold(items[0], "off") {
			*p = nil
			return nil
		}
		return addresses(p).set(v)
	}}
}

// serverHosts accepts one host or several, separated by commas, each with an optional port. Other parts of a URL have
// keys of their own.
func serverHosts(p *string) field {
	return field{get: textOf(p), set: func(v value) error {
		*p = v.text
		return eachItem(strings.Split(v.text, ","), func(item string) error {
			item = strings.TrimSpace(item)
			scheme, _, isURL := strings.Cut(item, "://")
			switch {
			case isURL:
				return fmt.Errorf("give the host without %s://; clickhouse.port has the port, clickhouse.secure is "+
					"for HTTPS", scheme)
			case item == "" && v.text != "", strings.ContainsAny(item, "/@?#% \t"):
				return fmt.Errorf("%q is not host or host:port", item)
			}
			if strings.Count(item, ":") != 1 {
				return nil // no port, or an IPv6 address
			}
			if _, port, _ := strings.Cut(item, ":"); !isPort(port) {
				return fmt.Errorf("%q has no port between 1 and 65535", item)
			}
			return nil
		})
	}}
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

// targets accepts host:port to send to; the host may be a name.
func targets(p *[]string) field {
	return field{kind: list, get: listOf(p), set: func(v value) error {
		items := v.items()
		if err := eachItem(items, checkTarget); err != nil {
			return err
		}
		*p = items
		return nil
	}}
}

func checkTarget(item string) error {
	host, port, err := net.SplitHostPort(item)
	if err != nil || host == "" {
		return fmt.Errorf("%q is not host:port", item)
	}
	if !isPort(port) {
		return fmt.Errorf("%q has no port between 1 and 65535", item)
	}
	return nil
}

func address(p *string) field {
	return field{get: textOf(p), set: func(v value) error {
		*p = v.text
		return checkAddress(v.text)
	}}
}

// addressOrOff accepts an address, or "off" or nothing for none.
func addressOrOff(p *string) field {
	return field{get: textOf(p), set: func(v value) error {
		if *p = v.text; v.text == "" || strings.EqualFold(v.text, "off") {
			*p = ""
			return nil
		}
		return checkAddress(v.text)
	}}
}

func checkAddress(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q is not host:port", s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n > 65535 {
		return fmt.Errorf("%q has no port between 0 and 65535", s)
	}
	if host != "" && host != "localhost" {
		if _, err := netip.ParseAddr(host); err != nil {
			return fmt.Errorf("%q has a host that is not an IP address", s)
		}
	}
	return nil
}

func prefixes(p *[]netip.Prefix) field {
	return field{kind: list, get: listOf(p), set: func(v value) error {
		var all []netip.Prefix
		err := eachItem(v.items(), func(item string) error {
			prefix, err := parsePrefix(item)
			if err != nil {
				return fmt.Errorf("%q is not a prefix such as 192.0.2.0/24", item)
			}
			all = append(all, prefix)
			return nil
		})
		if err == nil {
			*p = all
		}
		return err
	}}
}

// agentWord stands before the address of an sFlow agent in a list of who may send.
const agentWord = "agent"

// allowed takes addresses and prefixes of sources, and "agent ADDRESS" for sFlow agents.
func allowed(p *Allowed) field {
	get := func() value {
		v := listOf(&p.Sources)()
		for _, agent := range p.Agents {
			v.list = append(v.list, agentWord+" "+agent.String())
		}
		return v
	}
	return field{kind: list, get: get, set: func(v value) error {
		var all Allowed
		err := eachItem(v.items(), func(item string) error {
			to, text := &all.Sources, item
			if words := strings.Fields(item); len(words) == 2 && strings.EqualFold(words[0], agentWord) {
				to, text = &all.Agents, words[1]
			}
			prefix, err := parsePrefix(text)
			if err != nil {
				return fmt.Errorf("%q is not a prefix such as 192.0.2.0/24, nor agent and a prefix", item)
			}
			*to = append(*to, prefix)
			return nil
		})
		if err == nil && len(all.Agents) > 0 && len(all.Sources) == 0 {
			err = errors.New("names agents but no sources: add the addresses that send for them, " +
				"or 0.0.0.0/0 and ::/0 for all")
		}
		if err == nil {
			*p = all
		}
		return err
	}}
}

// parsePrefix takes a prefix, or an address as a prefix of it alone.
func parsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		addr = addr.Unmap().WithZone("")
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	return prefix.Masked(), err
}

// oneOf accepts one of some words.
func oneOf(p *string, words ...string) field {
	return field{get: textOf(p), set: func(v value) error {
		for _, w := range words {
			if strings.EqualFold(v.text, w) {
				*p = w
				return nil
			}
		}
		return fmt.Errorf("is none of %s", strings.Join(words, ", "))
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

// addressMap accepts "ADDRESS: ADDRESS".
func addressMap(p *map[netip.Addr]netip.Addr) field {
	return field{kind: mapping, get: func() value { return mapValue(*p) }, set: func(v value) error {
		pairs, err := v.entries()
		if err != nil {
			return err
		}
		all := make(map[netip.Addr]netip.Addr, len(pairs))
		var errs []error
		for _, entry := range pairs {
			var ends [2]netip.Addr
			for i, text := range []string{entry.key, entry.text} {
				addr, err := netip.ParseAddr(text)
				if err != nil {
					errs = append(errs, fmt.Errorf("%q is not an address", text))
				}
				ends[i] = addr.Unmap()
			}
			all[ends[0]] = ends[1]
		}
		if len(errs) == 0 {
			*p = all
		}
		return errors.Join(errs...)
	}}
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
