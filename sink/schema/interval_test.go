package schema

import "testing"

func TestInterval(t *testing.T) {
	for text, want := range map[string]string{
		"30 DAY": "30 DAY", "30 DAYS": "30 DAY", "  7   days ": "7 DAY", "2 months": "2 MONTH", "30 d": "30 DAY",
		"1 SQL_TSI_YEAR": "1 YEAR", "'30 day'": "30 DAY", "4 m": "4 MONTH", "5 mi": "5 MINUTE",
		"2 days TO VOLUME 'cold', start_time + INTERVAL 30 DAY": "2 DAY TO VOLUME 'cold', start_time + INTERVAL 30 DAY",
		"2 DAYS, end_time + INTERVAL 3 DAY":                     "2 DAY, end_time + INTERVAL 3 DAY",
		"30":                                                    "30", "30d": "30d", "30 DAYZ": "30 DAYZ", "": "",
		"'30 day": "'30 day", "30 fortnights": "30 fortnights",
		"1.5 DAY": "1.5 DAY", "-1 DAY": "-1 DAY",
	} {
		if got := Interval(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
