package commandline

import "fmt"

// Count returns a number with its noun, such as "1 record" and "2 records". The plural of the noun is formed with s.
func Count[N int | int64 | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
