package explore

import (
	"cmp"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// DayName is a day that follows the clock, as Question.Last does: the address of yesterday is of another day tomorrow.
type DayName string

// The days: none, today up to now, and the whole day before.
const (
	NoDay     DayName = ""
	Today     DayName = "today"
	Yesterday DayName = "yesterday"
)

// aroundAt is how much before and after a moment is shown.
const aroundAt = 10 * time.Minute

// timeLayouts are the accepted formats of a time, see withT. A time without a zone is in the question's zone.
var timeLayouts = []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04",
	"2006-01-02"}

// withT writes a T between date and time where a space is. Another space is the plus sign of an offset: in an address
// that has it as it is, it means a space.
func withT(text string) string {
	if at := len(time.DateOnly); len(text) > at && text[at] == ' ' {
		text = text[:at] + "T" + text[at+1:]
	}
	return strings.Replace(text, " ", "+", 1)
}

// clockLayouts are the formats of a time of a day that is not named.
var clockLayouts = []string{"15:04", "15:04:05"}

// parseTime reads the time. Where one of from and to is missing, last says how long it is. Without last, from is up to
// now.
func (q *Question) parseTime(values url.Values, now time.Time) error {
	text := func(name string) string { return strings.TrimSpace(values.Get(name)) }
	if at := text("at"); at != "" {
		return q.parseAt(at, now)
	}
	from, to, last := text("from"), text("to"), text("last")
	if from == "" && to == "" {
		return q.parseLast(last)
	}
	if err := q.parseEnds(from, to, now); err != nil {
		return err
	}
	return q.complete(from, to, last, now)
}

// parseAt reads a moment, and takes the time around it.
func (q *Question) parseAt(text string, now time.Time) error {
	t, err := q.moment(text, now)
	switch {
	case err != nil:
	case !possible(t.Add(-aroundAt).In(q.Zone)) || !possible(t.Add(aroundAt).In(q.Zone)):
		err = noTime(text)
	case t.After(now):
		err = notYet(text)
	}
	if err != nil {
		return fmt.Errorf("at: %w", err)
	}
	q.From, q.To = t.Add(-aroundAt), t.Add(aroundAt)
	return nil
}

// parseEnds reads from and to, of which one may be missing. Where only one of them has a date, the other is the time of
// day next to it: to the next one after from, from the last one before to. Without a date in either, to is of today at
// the latest: at 20:00, from 18:00 to 17:00 began yesterday.
func (q *Question) parseEnds(from, to string, now time.Time) (err error) {
	_, fromClock := q.clock(from, now, 0)
	_, toClock := q.clock(to, now, 0)
	if from != "" {
		if q.From, err = q.moment(from, now); err != nil {
			return fmt.Errorf("from: %w", err)
		}
	}
	switch {
	case to == "":
	case from != "" && toClock:
		q.To = q.next(to, q.From)
		if fromClock && !q.To.Before(q.midnight(now, 1)) {
			q.From, _ = q.moment(from, q.From.Add(-minRange))
			q.To = q.next(to, q.From)
		}
	default:
		if q.To, err = q.moment(to, now); err != nil {
			return fmt.Errorf("to: %w", err)
		}
		if fromClock && !q.To.After(q.From) {
			q.From, _ = q.moment(from, q.To.Add(-minRange))
		}
	}
	return nil
}

// parseLast reads a length of time, or the word for a day.
func (q *Question) parseLast(text string) (err error) {
	switch day := DayName(strings.ToLower(text)); {
	case text == "":
		q.Last = defaultLast
	case day == Today || day == Yesterday:
		q.Day = day
	default:
		if q.Last, err = ParseDuration(text); err != nil {
			return fmt.Errorf("last: %w, or today or yesterday", err)
		}
	}
	return nil
}

// complete finds the end of the time that is missing, and checks that it has begun, and its length.
func (q *Question) complete(from, to, last string, now time.Time) error {
	given, text := "from", from
	if from == "" || to == "" {
		length := time.Duration(0)
		if last != "" {
			var x Question
			if err := x.parseLast(last); err != nil {
				return err
			}
			length = x.Last // 0 of a day, which has its own ends
		}
		switch {
		case from == "":
			given, text = "to", to
			q.From = q.To.Add(-cmp.Or(length, defaultLast))
		case length > 0:
			q.To = q.From.Add(length)
		}
	}
	if !q.To.IsZero() && !q.To.After(q.From) {
		return fmt.Errorf("to: %s is not after from, %s", q.stamp(q.To), q.stamp(q.From))
	}
	if q.From.After(now) {
		return fmt.Errorf("%s: %w", given, notYet(text))
	}
	_, end := q.times(now)
	if !possible(q.From.In(q.Zone)) || !possible(end.In(q.Zone)) {
		return fmt.Errorf("from %s to %s is no time that flows can be of", q.stamp(q.From), q.stamp(end))
	}
	if d := end.Sub(q.From); d < minRange || d > maxRange {
		return fmt.Errorf("from %s to %s is no time of a second to five years", q.stamp(q.From), q.stamp(end))
	}
	return nil
}

// moment reads a time. One without a date is the latest that is not after now.
func (q *Question) moment(text string, now time.Time) (time.Time, error) {
	for _, layout := range timeLayouts {
		t, err := time.ParseInLocation(layout, withT(text), q.Zone)
		if err == nil && layout == time.DateOnly {
			t, err = ParseDate(text, q.Zone)
		}
		if err == nil && possible(t.In(q.Zone)) {
			return t, nil
		}
	}
	if t, ok := q.clock(text, now, 0); ok {
		if t.After(now) {
			t, _ = q.clock(text, now, -1)
		}
		return t, nil
	}
	return time.Time{}, noTime(text)
}

// next returns the next time of day, which text is, after from.
func (q *Question) next(text string, from time.Time) time.Time {
	t, _ := q.clock(text, from, 0)
	if !t.After(from) {
		t, _ = q.clock(text, from, 1)
	}
	return t
}

// clock reads a time without a date as one of the day of another time, or of so many days after it; false if it is
// none. Days are counted before the clock is read: where clocks go forward at midnight, a day after half past is no
// time, or one of the same day.
func (q *Question) clock(text string, of time.Time, days int) (time.Time, bool) {
	for _, layout := range clockLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			year, month, day := of.In(q.Zone).Date()
			return time.Date(year, month, day+days, t.Hour(), t.Minute(), t.Second(), 0, q.Zone), true
		}
	}
	return time.Time{}, false
}

// midnight is when the day of a time begins in the question's zone, or the one so many days after it.
func (q Question) midnight(of time.Time, days int) time.Time {
	year, month, day := of.In(q.Location()).Date()
	return midnight(year, month, day+days, q.Location())
}

// DayAfter is when the day after the one of a time begins in the question's zone.
func (q Question) DayAfter(t time.Time) time.Time { return q.midnight(t, 1) }

// ParseDate reads a date such as 2026-03-05 as when that day begins in a zone.
func ParseDate(text string, zone *time.Location) (time.Time, error) {
	date, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return time.Time{}, err
	}
	year, month, day := date.Date()
	return midnight(year, month, day, zone), nil
}

// midnight is when a day begins. Where clocks go forward at midnight, as in Chile, it begins at one o'clock, for which
// time.Date gives eleven of the day before in zones west of Greenwich.
func midnight(year int, month time.Month, day int, zone *time.Location) time.Time {
	t := time.Date(year, month, day, 0, 0, 0, 0, zone)
	if _, change := t.ZoneBounds(); t.Hour() > 12 { // of the day before
		return change
	}
	return t
}

func noTime(text string) error {
	return fmt.Errorf("%q is no time such as 2026-03-05T14:05 or 14:05", text)
}

func notYet(text string) error { return fmt.Errorf("%s has not come yet", text) }

// possible reports whether flows can be of a time.
func possible(t time.Time) bool { return t.Year() >= 1970 && t.Year() < 2100 }

// times returns from when to when the question is. It ends now at the latest: nothing is known of later steps, and
// zeros would be in their place.
func (q Question) times(now time.Time) (from, to time.Time) {
	switch {
	case q.Last != 0:
		return now.Add(-q.Last), now
	case q.Day == Yesterday:
		return q.midnight(now, -1), q.midnight(now, 0)
	case q.Day == Today:
		from, to = q.midnight(now, 0), now
	case q.To.IsZero() || q.To.After(now):
		from, to = q.From, now
	default:
		return q.From, q.To
	}
	if to.Sub(from) < minRange {
		to = from.Add(minRange)
	}
	return from, to
}

// UpToNow reports whether the question's time ends now, whenever that is.
func (q Question) UpToNow() bool {
	return q.Last != 0 || q.Day == Today || q.Day == NoDay && q.To.IsZero()
}

// ParseDuration reads a length of time: 30m, 6h, 7d or 4w.
func ParseDuration(text string) (time.Duration, error) {
	units := map[byte]time.Duration{'m': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	if n := len(text); n > 1 {
		count, err := strconv.ParseUint(text[:n-1], 10, 32)
		unit := units[text[n-1]]
		if err == nil && unit > 0 && count > 0 && count <= uint64(maxRange/unit) {
			return time.Duration(count) * unit, nil
		}
	}
	return 0, fmt.Errorf("%q is no time such as 30m, 6h, 7d or 4w", text)
}

// Duration writes what ParseDuration reads.
func Duration(d time.Duration) string {
	switch day := 24 * time.Hour; {
	case d%day == 0:
		return strconv.Itoa(int(d/day)) + "d"
	case d%time.Hour == 0:
		return strconv.Itoa(int(d/time.Hour)) + "h"
	}
	return strconv.Itoa(int(d/time.Minute)) + "m"
}

// stamp formats a time in the question's zone for a form. In the hour that clocks go back the offset is added, because
// that hour exists twice.
func (q Question) stamp(t time.Time) string {
	layout := "2006-01-02T15:04"
	if t.Second() != 0 {
		layout = "2006-01-02T15:04:05"
	}
	text := t.In(q.Location()).Format(layout)
	again, err := time.ParseInLocation(layout, text, q.Location())
	if err != nil || !again.Equal(t.Truncate(time.Second)) {
		return t.In(q.Location()).Format(time.RFC3339)
	}
	return text
}

// Between returns the question for another time.
func (q Question) Between(from, to time.Time) Question {
	q.Last, q.Day, q.From, q.To = 0, NoDay, from, to
	return q
}

// Latest returns the question for a length of time up to now.
func (q Question) Latest(last time.Duration) Question {
	q.Last, q.Day, q.From, q.To = last, NoDay, time.Time{}, time.Time{}
	return q
}
