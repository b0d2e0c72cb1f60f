package block

const dayMs = 24 * 60 * 60 * 1000

// addDay notes the day of a start time. It checks the latest days first, because most rows start on the same day.
func (b *Block) addDay(startMs int64) {
	day := startMs / dayMs
	if startMs%dayMs < 0 {
		day--
	}
	for i := len(b.days) - 1; i >= 0; i-- {
		if b.days[i] == day {
			return
		}
	}
	b.days = append(b.days, day)
}
