package main

import (
	"strings"

	"github.com/metranova/flow-collector/sink/schema"
)

// data is what the templates take their texts from.
type data struct {
	Block    blockData
	JSON     jsonData
	Protobuf protobufData
	Kafka    kafkaData
}

func newData() data {
	columns, paths := schema.FlowColumns(), schema.ExtPaths()
	return data{
		Block:    newBlockData(columns, paths),
		JSON:     newJSONData(columns, paths),
		Protobuf: newProtobufData(columns, paths),
		Kafka:    newKafkaData(columns, paths),
	}
}

// initialisms are parts of names that Go writes in one case.
var initialisms = map[string]string{
	"as": "AS", "bgp": "BGP", "dscp": "DSCP", "icmp": "ICMP", "id": "ID", "ip": "IP", "ipv4": "IPv4", "ipv6": "IPv6",
	"med": "MED", "mpls": "MPLS", "pw": "PW", "rd": "RD", "tcp": "TCP", "tos": "ToS", "vlan": "VLAN", "vpn": "VPN",
}

// goName is a column's name as an exported Go name has it: src_as_id becomes SrcASID.
func goName(name string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(name, "_") {
		if fixed, ok := initialisms[part]; ok {
			b.WriteString(fixed)
			continue
		}
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

// fieldName is goName for a name that is not exported: bgp_med becomes bgpMED.
func fieldName(name string) string {
	first, rest, _ := strings.Cut(name, "_")
	if rest == "" {
		return first
	}
	return first + goName(rest)
}

// wantName is the constant that says that an optional column is wanted.
func wantName(c *schema.Column) string { return "want" + goName(c.Name) }

// inner returns what stands within the outer parentheses of a type, if it is name(…).
func inner(typ, name string) (string, bool) {
	rest, found := strings.CutPrefix(typ, name+"(")
	return strings.TrimSuffix(rest, ")"), found
}

// isText reports whether values of the type are strings in Go, and whether the empty one means NULL.
func isText(typ string) (text, null bool) {
	switch typ {
	case "LowCardinality(String)", "String":
		return true, false
	case "LowCardinality(Nullable(String))", "Nullable(String)":
		return true, true
	}
	return false, false
}

// condition is the Go condition under which a row has a value for the path; "" for always.
func condition(p *schema.Path) string {
	var all []string
	if p.Sent != "" {
		all = append(all, "f.Sent(flow."+p.Sent+")")
	}
	if p.When != "" {
		all = append(all, p.When)
	}
	return strings.Join(all, " && ")
}

// guard is a condition without which none of the paths has a value; "" where one has one always.
func guard(paths []schema.Path) string {
	var sent, others []string
	for i := range paths {
		p := &paths[i]
		switch {
		case p.Sent != "":
			sent = appendNew(sent, "flow."+p.Sent)
		case p.When != "":
			others = appendNew(others, p.When)
		default:
			return ""
		}
	}
	if len(sent) == 1 {
		others = append([]string{"f.Sent(" + sent[0] + ")"}, others...)
	} else if len(sent) > 1 {
		others = append([]string{"f.Has&(" + strings.Join(sent, "|") + ") != 0"}, others...)
	}
	return strings.Join(others, " || ")
}

func appendNew(list []string, s string) []string {
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}

// statement is one line of Go and the condition that it is under.
type statement struct{ when, code string }

// render writes statements, those in a row that share a condition under one if.
func render(statements []statement) string {
	var b strings.Builder
	for i := 0; i < len(statements); {
		when := statements[i].when
		if when == "" {
			b.WriteString(statements[i].code + "\n")
			i++
			continue
		}
		b.WriteString(ifLine(when))
		for ; i < len(statements) && statements[i].when == when; i++ {
			b.WriteString(statements[i].code + "\n")
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// ifLine opens an if. A condition that is too long for one line has a line for each alternative.
func ifLine(condition string) string {
	if len(condition) > 100 {
		condition = strings.ReplaceAll(condition, " || ", " ||\n")
	}
	return "if " + condition + " {\n"
}

// renderPaths writes the statements of paths. Most rows have nothing for some extensions, so all paths of one stand
// under its guard.
func renderPaths(paths []schema.Path, code func(*schema.Path) string) string {
	var b strings.Builder
	for len(paths) > 0 {
		n := 1
		for n < len(paths) && paths[n].Extension == paths[0].Extension && paths[n].IPRef == "" && paths[0].IPRef == "" {
			n++
		}
		group, values := paths[:n], []schema.Path{}
		paths = paths[n:]
		var statements []statement
		for i := range group {
			if text := code(&group[i]); text != "" {
				values = append(values, group[i])
				statements = append(statements, statement{condition(&group[i]), text})
			}
		}
		text, outer := render(statements), guard(values)
		if outer == "" || len(values) == 1 || strings.Count(text, "if ") == 1 && statements[0].when == outer {
			b.WriteString(text)
			continue
		}
		b.WriteString(ifLine(outer) + text + "}\n")
	}
	return b.String()
}
