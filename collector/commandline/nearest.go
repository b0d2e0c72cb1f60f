package commandline

import (
	"fmt"
	"strings"
)

// Nearest returns the name that a mistyped one most likely means; "" if none is similar. A name is similar if at most a
// third of the letters are wrong, missing, added or swapped with their neighbour, or if it is the only one with this
// beginning.
func Nearest(typed string, names []string) string {
	typed = strings.ToLower(typed)
	best, least := "", max(1, len(typed)/3)+1
	begins, others := "", 0
	for _, name := range names {
		if len(name) < 2 {
			continue // a single letter would be similar to everything
		}
		d, longer := distance(typed, name), strings.HasPrefix(name, typed)
		if d < least || d == least && best != "" && longer && !strings.HasPrefix(best, typed) {
			best, least = name, d
		}
		if len(typed) > 1 && strings.HasPrefix(name, typed) {
			begins, others = name, others+1
		}
	}
	if best == "" && others == 1 {
		return begins
	}
	return best
}

// DidYouMean is the end of a message about an unknown name: it suggests the nearest of names, with prefix before it. It
// is empty if none is similar.
func DidYouMean(name, prefix string, names []string) string {
	near := Nearest(name, names)
	if near == "" {
		return ""
	}
	return fmt.Sprintf(": did you mean %s%s?", prefix, near)
}

// distance returns the number of letters to change, add, remove or swap with their neighbour to turn one word into the
// other (optimal string alignment).
func distance(a, b string) int {
	row := func(first int) []int {
		r := make([]int, len(b)+1)
		r[0] = first
		return r
	}
	var before []int
	last := row(0)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		this := row(i)
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			this[j] = min(last[j]+1, this[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				this[j] = min(this[j], before[j-2]+1)
			}
		}
		before, last = last, this
	}
	return last[len(b)]
}
