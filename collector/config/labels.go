package config

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// ExporterPolicy has what is different for some exporters. The longest prefix that holds an exporter's address wins, in
// each map by itself.
type ExporterPolicy struct {
	CollectorID, Originator, Level map[netip.Prefix]string
	Scopes                         map[netip.Prefix]string // several are separated by spaces or commas
}

// byExporter accepts a mapping of prefixes or addresses to texts, or "PREFIX=text,PREFIX=text".
func byExporter(p *map[netip.Prefix]string) field {
	get := func() value {
		v := value{kind: mapping}
		for _, prefix := range slices.SortedFunc(maps.Keys(*p), netip.Prefix.Compare) {
			v.pairs = append(v.pairs, pair{key: prefix.String(), text: (*p)[prefix]})
		}
		return v
	}
	return field{kind: mapping, get: get, set: func(v value) error {
		pairs := v.pairs
		if v.kind != mapping {
			for _, item := range v.items() {
				prefix, text, found := strings.Cut(item, "=")
				if !found {
					return fmt.Errorf("%q is not PREFIX=text", item)
				}
				pairs = append(pairs, pair{key: strings.TrimSpace(prefix), text: strings.TrimSpace(text)})
			}
		}
		all := make(map[netip.Prefix]string, len(pairs))
		var errs []error
		for _, entry := range pairs {
			prefix, err := prefixOf(entry.key)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			if _, twice := all[prefix]; twice {
				errs = append(errs, fmt.Errorf("%s is there twice", prefix))
			}
			all[prefix] = entry.text
		}
		if len(errs) == 0 {
			*p = all
		}
		return errors.Join(errs...)
	}}
}

// prefixOf reads a prefix, or an address as the prefix that holds only it. Bits behind the prefix are cleared.
func prefixOf(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("%q is neither an address nor a prefix", text)
	}
	return p.Masked(), nil
}

// maxList is the largest list of labels or ports that is read.
const maxList = 16 << 20

// maxListProblems is how many problems of a list are named one by one.
const maxListProblems = 20

// readLists reads the files of labels and ports that settings name.
func (c *Config) readLists() []Problem {
	read := func(key, path string, parse func(path, text string) []Problem) []Problem {
		if path == "" {
			return nil
		}
		text, err := readText(path, maxList)
		if err != nil {
			origin := c.origins[key]
			return []Problem{{Where: origin.Where, Key: origin.name(key), Value: path, Why: reason(err)}}
		}
		return parse(path, text)
	}
	problems := read("policy.label_file", c.Policy.LabelFile, func(path, text string) []Problem {
		rules, wrong := parseLabels(path, text)
		c.Policy.Labels = rules
		if len(wrong) == 0 && !slices.ContainsFunc(rules, func(r LabelRule) bool { return r.Label != "" }) {
			c.warnings = append(c.warnings, Problem{Where: path, Why: "has no set_label: no exporter gets a label"})
		}
		return wrong
	})
	return append(problems, read("flow.ports_file", c.Flow.PortsFile, func(path, text string) []Problem {
		ports, wrong := parsePorts(path, text)
		c.Flow.Ports = ports
		if len(wrong) == 0 && len(ports) == 0 {
			c.warnings = append(c.warnings, Problem{Where: path, Why: "lists no port: all ports become 0"})
		}
		return wrong
	})...)
}

// eachLine calls do for each line that is no comment, with its place.
func eachLine(path, text string, do func(where, line string)) {
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line != "" && line[0] != '!' && line[0] != '#' {
			do(fmt.Sprintf("%s:%d", path, n), line)
		}
	}
}

// parsePorts reads a list in the form of pmacct's ports_file: a port on each line.
func parsePorts(path, text string) (ports []uint16, problems []Problem) {
	ports = []uint16{}
	eachLine(path, text, func(where, line string) {
		port, err := strconv.ParseUint(line, 10, 16)
		if err != nil {
			problems = append(problems, Problem{Where: where, Value: strconv.Quote(line), Why: "is not a port"})
			return
		}
		ports = append(ports, uint16(port))
	})
	return ports, problems
}
