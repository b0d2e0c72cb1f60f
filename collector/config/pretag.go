package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// LabelRule is a line of a list of labels. Rules are tried in order, the first that holds the exporter ends the search,
// unless it names the rule to go on at.
type LabelRule struct {
	Exporters netip.Prefix // invalid: all
	Label     string       // "": none
	Next      int          // index of the rule to go on at; 0: none, as rules go forwards only
}

// LabelOf returns the label of an exporter: those of all rules that hold it, separated by commas; "" if none has one.
func LabelOf(rules []LabelRule, exporter netip.Addr) string {
	var labels []string
	for i := 0; i < len(rules); {
		r := &rules[i]
		if r.Exporters.IsValid() && !r.Exporters.Contains(exporter) {
			i++
			continue
		}
		if r.Label != "" {
			labels = append(labels, r.Label)
		}
		if r.Next == 0 {
			break
		}
		i = r.Next
	}
	return strings.Join(labels, ",")
}

// flowKeysOfMap are the keys of a pre_tag_map that depend on the flow.
var flowKeysOfMap = []string{
	"in", "out", "engine_type", "engine_id", "source_id", "flowset_id", "nexthop", "bgp_nexthop", "filter", "v8agg",
	"agent_id", "sampling_rate", "sample_type", "direction", "src_mac", "dst_mac", "mpls_pw_id", "mpls_label_bottom",
	"vlan", "vlan_id", "cvlan_id", "post_cvlan", "src_as", "dst_as", "peer_src_as", "peer_dst_as", "src_comms",
	"comms", "local_pref", "src_local_pref", "mpls_vpn_rd", "mpls_vpn_id", "ingress_vrfid", "egress_vrfid",
	"src_net", "dst_net", "src_port", "dst_port", "ip_proto", "tos", "is_multicast", "is_nsel", "is_nel", "is_bi_flow",
	"fwdstatus", "is_inbound", "is_outbound",
}

// labelLine is a line while the list is read.
type labelLine struct {
	where, name, jump string // name: what jumps to it; jump: where it jumps
	LabelRule
}

// parseLabels reads a list in the form of pmacct's pre_tag_map.
func parseLabels(path, text string) ([]LabelRule, []Problem) {
	var all []labelLine
	var problems []Problem
	eachLine(path, text, func(where, line string) {
		l := labelLine{where: where}
		for key, value := range pretagPairs(line) {
			if why := l.set(key, value); why != "" {
				problems = append(problems, Problem{Where: where, Key: key, Value: value, Why: why})
			}
		}
		all = append(all, l)
	})
	if more := len(problems) - maxListProblems; more > 0 { // a list of applications has thousands of such lines
		problems = append(problems[:maxListProblems],
			Problem{Where: path, Why: fmt.Sprintf("%d more faults", more)})
	}
	rules := make([]LabelRule, len(all))
	for i := range all {
		if l := &all[i]; l.jump == "next" && i+1 < len(all) {
			l.Next = i + 1
		} else if l.jump != "" && l.jump != "next" {
			n := slices.IndexFunc(all[i+1:], func(to labelLine) bool { return to.name == l.jump })
			if n < 0 {
				problems = append(problems, Problem{Where: l.where, Key: "jeq", Value: l.jump,
					Why: "no line below has this label"})
			}
			l.Next = i + 1 + n
		}
		rules[i] = all[i].LabelRule
	}
	return rules, problems
}

// set sets a key of a line, or returns what is wrong with it.
func (l *labelLine) set(key, text string) (why string) {
	switch key {
	case "ip":
		p, err := prefixOf(text)
		if err != nil {
			return "is neither an address nor a prefix"
		}
		l.Exporters = p
	case "set_label":
		if text == "" {
			return "is empty"
		}
		l.Label = text
	case "label":
		l.name = text
	case "jeq":
		l.jump = text
	case "return":
		if text != "false" {
			return "would give every flow twice"
		}
	case "set_tag", "set_tag2", "id", "id2", "set_tos", "stack": // rows have no column for them
	default:
		if slices.Contains(flowKeysOfMap, key) {
			return "depends on the flow: labels here are of exporters, by ip"
		}
		return "is no key of a pre_tag_map"
	}
	return ""
}

// pretagPairs yields the keys and values of a line. Values in single or double quotes may have spaces.
func pretagPairs(line string) func(func(key, value string) bool) {
	return func(yield func(key, value string) bool) {
		for line = strings.TrimLeft(line, " \t"); line != ""; line = strings.TrimLeft(line, " \t") {
			end := strings.IndexAny(line, " \t=")
			if end < 0 {
				end = len(line)
			}
			key := line[:end]
			line = strings.TrimPrefix(line[end:], "=")
			if line != "" && (line[0] == '\'' || line[0] == '"') {
				if end := strings.IndexByte(line[1:], line[0]); end >= 0 {
					value := line[1 : 1+end]
					line = line[end+2:]
					if !yield(key, value) {
						return
					}
					continue
				}
			}
			end = strings.IndexAny(line, " \t")
			if end < 0 {
				end = len(line)
			}
			value := line[:end]
			line = line[end:]
			if !yield(key, value) {
				return
			}
		}
	}
}
