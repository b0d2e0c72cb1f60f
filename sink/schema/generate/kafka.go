package main

import (
	"fmt"
	"strings"

	"github.com/metranova/flow-collector/sink/schema"
)

// kafkaData are the parts of the SQL files of conf.example/kafka.
type kafkaData struct {
	JSON, Protobuf string // the columns of the Kafka engine's table
	Select         string // what protobuf.sql's view makes of them
}

func newKafkaData(columns []schema.Column, paths []schema.Path) kafkaData {
	var json, protobuf, selected []string
	for i := range columns {
		c := &columns[i]
		if !c.IsColumn() {
			continue
		}
		typ := c.Type
		if c.Name == "ext" {
			typ = "String"
		}
		json = append(json, fmt.Sprintf("    %-18s %s", c.Name, typ))
		protobuf = append(protobuf, fmt.Sprintf("    %-18s %s", protoName(c), kafkaType(c, paths)))
		selected = append(selected, "    "+kafkaTerm(c, paths))
	}
	return kafkaData{strings.Join(json, ",\n"), strings.Join(protobuf, ",\n"), strings.Join(selected, ",\n")}
}

// kafkaType is the type that ClickHouse reads a protobuf field as.
func kafkaType(c *schema.Column, paths []schema.Path) string {
	switch c.Type {
	case "DateTime64(3, 'UTC')":
		return "Int64"
	case "Nullable(String)":
		return "String"
	case "LowCardinality(Nullable(String))":
		return "LowCardinality(String)"
	case "IPv6":
		return "FixedString(16)"
	case "Nullable(IPv6)":
		return "String"
	case "JSON":
		return "Tuple(\n" + tuple(paths, "        ", "        ", func(p *schema.Path) string {
			switch {
			case p.IPRef != "":
				return "Map(String, String)"
			case pathKind(p) == "communityPath":
				return "Array(UInt32)"
			case pathKind(p) == "extendedPath", pathKind(p) == "largePath":
				return "Array(String)"
			case pathKind(p) == "addrPath", pathKind(p) == "textPath", pathKind(p) == "prefixPath":
				return "String"
			}
			return p.Type
		}) + ")"
	}
	return c.Type
}

// tuple lists the paths that messages have, each with its type.
func tuple(paths []schema.Path, first, indent string, typ func(*schema.Path) string) string {
	var elements []string
	for i := range paths {
		if t := typ(&paths[i]); paths[i].Number != 0 && t != "" {
			elements = append(elements, fmt.Sprintf("%-19s %s", paths[i].Name, t))
		}
	}
	return first + strings.Join(elements, ",\n"+indent)
}

// kafkaTerm is the column as data_flow has it.
func kafkaTerm(c *schema.Column, paths []schema.Path) string {
	name := c.Name
	switch c.Type {
	case "DateTime64(3, 'UTC')":
		return fmt.Sprintf("fromUnixTimestamp64Milli(%s, 'UTC') AS %s", protoName(c), name)
	case "Nullable(String)", "LowCardinality(Nullable(String))":
		return fmt.Sprintf("nullIf(k.%s, '') AS %s", name, name)
	case "IPv6":
		return fmt.Sprintf("CAST(k.%s AS IPv6) AS %s", name, name)
	case "Nullable(IPv6)":
		return fmt.Sprintf("if(k.%s = '', NULL, CAST(toFixedString(k.%s, 16) AS IPv6)) AS %s", name, name, name)
	case "JSON":
		return extTerm(paths)
	}
	return name
}

// optIn reports whether the path is filled only where the operator asks for its extension.
func optIn(p *schema.Path) bool {
	return p.Extension == "bgp_src" || p.Extension == "bgp_meta" || p.Extension == "rpki"
}

// optInTerm is a JSON object with a list, or an empty object: a list that nobody has asked for must not be in ext.
func optInTerm(p *schema.Path, field string) string {
	value := field
	if pathKind(p) == "communityPath" {
		value = fmt.Sprintf("arrayMap(c -> %s, %s)", communitySQL, field)
	}
	return fmt.Sprintf("        if(empty(%s), '{}', concat('{\"%s\":', toJSONString(%s), '}'))", field, p.Name, value)
}

// communitySQL is the text of community c.
const communitySQL = "concat(toString(bitShiftRight(c, 16)), ':', toString(bitAnd(c, 65535)))"

// extTerm makes the JSON column of the message Ext.
func extTerm(paths []schema.Path) string {
	var values, refs []string
	for i := range paths {
		p := &paths[i]
		field := "k.ext." + p.Name
		switch {
		case p.Number == 0:
			continue
		case p.IPRef != "":
			const term = "        toJSONString(mapApply((x, ref) -> (concat('%s_ip_', x, '_ref'), ref), %s))"
			refs = append(refs, fmt.Sprintf(term, p.IPRef, field))
			continue
		case optIn(p) && (strings.HasPrefix(p.Type, "Array(")):
			refs = append(refs, optInTerm(p, field))
			continue
		case pathKind(p) == "communityPath":
			field = fmt.Sprintf("arrayMap(c -> %s, %s)", communitySQL, field)
		case pathKind(p) == "addrPath":
			field = fmt.Sprintf("if(%s = '', NULL, IPv6NumToString(toFixedString(%s, 16)))", field, field)
		case pathKind(p) == "textPath", pathKind(p) == "prefixPath":
			field = fmt.Sprintf("nullIf(%s, '')", field)
		}
		values = append(values, "            "+field)
	}
	types := tuple(paths, "'Tuple(\n            ", "            ", func(p *schema.Path) string {
		switch {
		case p.IPRef != "", optIn(p) && strings.HasPrefix(p.Type, "Array("):
			return ""
		case pathKind(p) == "communityPath", pathKind(p) == "extendedPath", pathKind(p) == "largePath":
			return "Array(String)"
		case pathKind(p) == "addrPath", pathKind(p) == "textPath", pathKind(p) == "prefixPath":
			return "Nullable(String)"
		}
		return p.Type
	})
	return "JSONMergePatch( -- leaves out what is NULL\n        toJSONString(CAST((\n" + strings.Join(values, ",\n") +
		"),\n        " + types + ")')),\n" + strings.Join(refs, ",\n") + ") AS ext"
}
