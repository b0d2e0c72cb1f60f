package route

import (
	"slices"
	"strings"
)

// Filter removes communities that match no pattern. The zero value keeps all. It is not safe for concurrent use.
type Filter struct {
	standard, extended, large []string
	text                      []byte // scratch
}

// NewFilter returns a filter that keeps the communities that match one of the patterns for their kind. Without a
// pattern all of the kind are kept. In a pattern . stands for any one character, and * for any number of characters. A
// pattern without * matches every text that starts with it, as in pmacct. It is compared with the community's text, and
// with the name of a well-known community.
func NewFilter(standard, extended, large []string) *Filter {
	return &Filter{standard: standard, extended: extended, large: large}
}

// Filters reports whether the filter has a pattern.
func (f *Filter) Filters() bool { return len(f.standard)+len(f.extended)+len(f.large) > 0 }

// Keep removes the communities that match no pattern, in place.
func (f *Filter) Keep(a *Attributes) {
	a.Communities = keep(f, f.standard, a.Communities, func(p []byte, c uint32) []byte { return AppendCommunity(p, c) },
		WellKnown)
	a.Extended = keep(f, f.extended, a.Extended, AppendExtended, nil)
	a.Large = keep(f, f.large, a.Large, AppendLarge, nil)
}

func keep[T any](f *Filter, patterns []string, all []T, appendTo func([]byte, T) []byte, name func(T) string) []T {
	if len(patterns) == 0 {
		return all
	}
	return slices.DeleteFunc(all, func(v T) bool {
		f.text = appendTo(f.text[:0], v)
		text := string(f.text)
		return !slices.ContainsFunc(patterns, func(pattern string) bool {
			return matches(pattern, text) || name != nil && name(v) != "" && matches(pattern, name(v))
		})
	})
}

// matches reports whether a text matches a pattern.
func matches(pattern, text string) bool {
	if !strings.Contains(pattern, "*") {
		return len(text) >= len(pattern) && same(pattern, text[:len(pattern)])
	}
	first, rest, _ := strings.Cut(pattern, "*")
	if len(text) < len(first) || !same(first, text[:len(first)]) {
		return false
	}
	text = text[len(first):]
	for {
		part, further, more := strings.Cut(rest, "*")
		if !more { // the end of the pattern is the end of the text
			return len(text) >= len(part) && same(part, text[len(text)-len(part):])
		}
		at := 0
		for at+len(part) <= len(text) && !same(part, text[at:at+len(part)]) {
			at++
		}
		if at+len(part) > len(text) {
			return false
		}
		text, rest = text[at+len(part):], further
	}
}

// same reports whether a text equals a pattern of the same length, in which a dot stands for any character.
func same(pattern, text string) bool {
	for i := range len(pattern) {
		if pattern[i] != '.' && pattern[i] != text[i] {
			return false
		}
	}
	return true
}
