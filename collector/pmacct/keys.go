package pmacct

import (
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// Fate is what becomes of a key of pmacct's.
type Fate uint8

// The fates.
const (
	Taken     Fate = iota // a setting of ours has the value
	NotNeeded             // what the key is for happens without a setting, or cannot arise here
	Missing               // nothing here does what the key does
)

// String returns the fate as reports and the README have it.
func (f Fate) String() string {
	return [...]string{"taken", "not needed", "no counterpart"}[f]
}

// Counterpart is a row of the table of pmacct's keys: some keys with one fate.
type Counterpart struct {
	Keys  []string // * stands for any number of characters
	Fate  Fate
	Ours  []string // settings
	Notes string   // what differs, or why there is none
	take  func(c *conversion, s *Setting)
}

// Counterparts is the table: all keys of nfacctd and sfacctd, by subject. The first row that has a key counts.
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

// keyMatches compares a key with one of the table, where * stands for any number of characters.
func keyMatches(pattern, key string) bool {
	same, err := path.Match(pattern, key)
	return same && err == nil
}

// row makes a row of the table. keys and ours are separated by blanks.
func row(keys string, fate Fate, ours, notes string) Counterpart {
	return Counterpart{Keys: strings.Fields(keys), Fate: fate, Ours: strings.Fields(ours), Notes: notes}
}

// taken makes the row of keys whose value a setting of ours has.
func taken(keys, ours, notes string, take func(c *conversion, s *Setting)) Counterpart {
	r := row(keys, Taken, ours, notes)
	r.take = take
	return r
}

// WriteTable writes the table in Markdown.
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
