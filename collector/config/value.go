package config

import (
	"fmt"
	"strconv"
	"strings"
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

// The kinds of fields, each with its own form of value.
