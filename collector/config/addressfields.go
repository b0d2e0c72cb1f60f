package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

func addresses(p *[]string) field {
	return field{kind: list, get: listOf(p), set: func(v value) error {
		items := v.items()
		if len(items) == 0 {
			return fmt.Errorf("names no address")
		}
		if err := eachItem(items, checkAddress); err != nil {
			return err
		}
		*p = nil
		for _, item := range items { // one that stands twice is one socket; port 0 is another each time
			if strings.HasSuffix(item, ":0") || !slices.Contains(*p, item) {
				*p = append(*p, item)
			}
		}
		return nil
	}}
}

// isOff accepts off, and what people write instead.
func isOff(text string) bool {
	return slices.Contains([]string{"off", "false", "no", "none", "disabled"}, strings.ToLower(strings.TrimSpace(text)))
}

// addressesOrOff accepts addresses, or "off" or nothing for none.
func addressesOrOff(p *[]string) field {
	return field{kind: list, get: listOf(p), set: func(v value) error {
		if items := v.items(); len(items) == 0 || len(items) == 1 && isOff(items[0]) {
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
		*p = v.text // refused, it still says that there is a server: check does not look at the local store
		return eachItem(strings.Split(v.text, ","), func(item string) error {
			item = strings.TrimSpace(item)
			scheme, _, isURL := strings.Cut(item, "://")
			switch {
			case isURL:
				return fmt.Errorf("give the host without %s://; clickhouse.port has the port, clickhouse.secure is "+
					"for HTTPS", scheme)
			case item == "" && v.text != "", strings.ContainsAny(item, "/@?#% \t;"):
				return fmt.Errorf("%q is not host or host:port; several are separated by commas", item)
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
		if err := checkAddress(v.text); err != nil {
			return err
		}
		*p = v.text
		return nil
	}}
}

// addressOrOff accepts an address, or "off" or nothing for none.
func addressOrOff(p *string) field {
	return field{get: textOf(p), set: func(v value) error {
		if v.text == "" || isOff(v.text) {
			*p = ""
			return nil
		}
		if err := checkAddress(v.text); err != nil {
			return err
		}
		*p = v.text
		return nil
	}}
}

func checkAddress(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil && isPort(s) {
		return fmt.Errorf("%q is not host:port: did you mean %q?", s, ":"+s)
	}
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
