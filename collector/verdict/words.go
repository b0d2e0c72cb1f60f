package verdict

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

func share(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// percent returns two significant digits, and never 0 % or 100 % for anything else.
func percent(share float64) string {
	switch p := share * 100; {
	case p < 0.01:
		return "less than 0.01 %"
	case p < 1:
		return fmt.Sprintf("%.2f %%", p)
	case p < 10:
		return fmt.Sprintf("%.1f %%", p)
	case p >= 99.5 && share < 1:
		return "more than 99 %"
	default:
		return fmt.Sprintf("%.0f %%", p)
	}
}

func count(n uint64, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return groups(n) + " " + unit + "s"
}

// groups returns a whole number with a comma between groups of three digits.
func groups(n uint64) string {
	text := strconv.FormatUint(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// lasting returns a duration in the usual unit.
func lasting(d time.Duration) string {
	const day = 24 * time.Hour
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{365 * day, "year"}, {day, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if d >= 2*unit.length {
			return count(uint64(math.Round(float64(d)/float64(unit.length))), unit.name)
		}
	}
	return count(uint64(math.Round(d.Seconds())), "second")
}

// span returns a duration as in "in the last 10 min".
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("the last %d s", int(math.Ceil(d.Seconds())))
	case d < 90*time.Second:
		return "the last minute"
	}
	return fmt.Sprintf("the last %d min", int(math.Round(d.Minutes())))
}

// moment returns a time of today, or with its date. All times are UTC.
func moment(t, now time.Time) string {
	t, now = t.UTC(), now.UTC()
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04")
	}
	return t.Format("2006-01-02 15:04")
}

// Ago returns how long ago something was, in the largest unit that fits.
func Ago(d time.Duration) string {
	switch {
	case d < time.Second:
		return "now"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days ago", int(d.Hours()/24))
	}
}
