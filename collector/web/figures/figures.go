// Package figures formats numbers for people. It imports nothing of this project.
package figures

import (
	"fmt"
	"strconv"
	"strings"
)

// SI returns a number with three significant digits and a unit prefix.
func SI(n float64) string {
	prefixes := []string{"", "k", "M", "G", "T", "P"}
	i := 0
	for n >= 999.5 && i < len(prefixes)-1 {
		n /= 1000
		i++
	}
	digits := 0
	if i > 0 && n < 9.995 {
		digits = 2
	} else if i > 0 && n < 99.95 {
		digits = 1
	}
	return fmt.Sprintf("%.*f %s", digits, n, prefixes[i])
}

// Groups returns a whole number with thin spaces between groups of three digits.
func Groups(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && len(digits) > 4 {
			b.WriteRune('\u202f')
		}
		b.WriteRune(d)
	}
	return b.String()
}
