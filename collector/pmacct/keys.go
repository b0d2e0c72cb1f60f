package pmacct

import (
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// Fate says what happens to a key of pmacct.
type Fate uint8

// The fates.
const (
	Taken     Fate = iota // its value becomes that of a setting
	NotNeeded             // the collector does it without a setting, or has no need of it
	Missing               // the collector cannot do it
)

// String returns the fate as text for remarks and for the table of the README.
func (f Fate) String() string {
	return [...]string{"taken", "not needed", "no counterpart"}[f]
}

// Counterpart is a row of the table of pmacct's keys: keys that share a fate.
type Counterpart struct {
	Keys  []string // * stands for any number of characters
	Fate  Fate
	Ours  []string // settings of the collector
	Notes string   // what differs, or why there is none
	take  func(c *conversion, s *Setting)
}

// Counterparts returns the table of all keys of nfacctd and sfacctd, by subject. The first row that matches a key
// counts.
func Counterparts() []Subject {
	return []Subject{
		{"Receiving flows", flowKeys()},
		{"Times, counters and fields", fieldKeys()},
		{"Labels, filters and lists", listKeys()},
		{"BGP and BMP sessions", sessionKeys()},
		{"What rows take from routes", routeKeys()},
		{"Output", outputKeys()},
		{"Process", processKeys()},
		{"Other daemons", otherKeys()},
	}
}

// Subject is a part of the table.
type Subject struct {
	Title string
	Rows  []Counterpart
}

// counterpart returns the row of a key, nil if pmacct has no such key.
func counterpart(table []Subject, key string) *Counterpart {
	for i := range table {
		for j := range table[i].Rows {
			row := &table[i].Rows[j]
			if slices.ContainsFunc(row.Keys, func(pattern string) bool { return keyMatches(pattern, key) }) {
				return row
			}
		}
	}
	return nil
}

// keyMatches reports whether a key matches a pattern of the table, in which * stands for any number of characters.
func keyMatches(pattern, key string) bool {
	same, err := path.Match(pattern, key)
	return same && err == nil
}

// row returns a row of the table. keys and ours are lists separated by blanks.
func row(keys string, fate Fate, ours, notes string) Counterpart {
	return Counterpart{Keys: strings.Fields(keys), Fate: fate, Ours: strings.Fields(ours), Notes: notes}
}

// taken returns a row of keys that take converts to the settings ours.
func taken(keys, ours, notes string, take func(c *conversion, s *Setting)) Counterpart {
	r := row(keys, Taken, ours, notes)
	r.take = take
	return r
}

// copied returns a row of keys whose value the setting takes as it is.
func copied(keys, ours, notes string) Counterpart {
	return taken(keys, ours, notes, func(c *conversion, s *Setting) { c.set(s, ours, s.Value) })
}

// numbered returns a row of keys whose value, a number, the setting takes.
func numbered(keys, ours, notes string) Counterpart {
	return taken(keys, ours, notes, func(c *conversion, s *Setting) {
		if _, ok := c.number(s); ok {
			c.set(s, ours, plainText(s.Value))
		}
	})
}

// ifTrue returns a row of keys that give the setting a value if they are true.
func ifTrue(keys, ours string, value plainText, notes string) Counterpart {
	return taken(keys, ours, notes, func(c *conversion, s *Setting) {
		if c.yes(s) {
			c.set(s, ours, value)
		}
	})
}

// patterns returns a row of keys whose list of patterns of communities the setting takes.
func patterns(keys, ours string) Counterpart {
	return taken(keys, ours, "", func(c *conversion, s *Setting) {
		for pattern := range strings.SplitSeq(s.Value, ",") {
			if pattern = strings.TrimSpace(pattern); pattern != "" {
				c.add(s, ours, pattern)
			}
		}
	})
}

// WriteTable writes the table in Markdown, for the README.
func WriteTable(out io.Writer) {
	for _, subject := range Counterparts() {
		fmt.Fprintf(out, "\n### %s\n\n| pmacct | here | |\n|---|---|---|\n", subject.Title)
		for _, r := range subject.Rows {
			here := r.Fate.String()
			if r.Fate == Taken {
				here = quoted(r.Ours)
			}
			fmt.Fprintf(out, "| %s | %s | %s |\n", quoted(r.Keys), here, r.Notes)
		}
	}
}

func quoted(words []string) string {
	return "`" + strings.Join(words, "`, `") + "`"
}
