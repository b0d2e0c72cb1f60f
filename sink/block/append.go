package block

import "slices"

const dayMs = 24 * 60 * 60 * 1000

// addDay notes the day of a start time.
func (b *Block) addDay(startMs int64) {
	day := startMs / dayMs
	if startMs%dayMs < 0 {
		day--
	}
	b.dayStart = day * dayMs
	if !slices.Contains(b.days, day) {
		b.days = append(b.days, day)
	}
}
