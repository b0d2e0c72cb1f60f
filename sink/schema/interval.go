package schema

import (
	"regexp"
	"strings"
)

var (
	intervalText = regexp.MustCompile(`(?i)^[0-9]+ +(SECOND|MINUTE|HOUR|DAY|WEEK|MONTH|QUARTER|YEAR)$`)
	// intervalStart begins a TTL that goes on with what happens then, such as TO VOLUME 'cold', and with further terms.
	intervalStart = regexp.MustCompile(`(?i)^[0-9]+ +(SECOND|MINUTE|HOUR|DAY|WEEK|MONTH|QUARTER|YEAR)( |,)`)
)

// intervalUnits are the units of intervals by all names that ClickHouse knows (ParserIntervalKind.cpp), besides
// plurals.
var intervalUnits = map[string]string{
	"S": "SECOND", "SS": "SECOND", "N": "MINUTE", "MI": "MINUTE", "H": "HOUR", "HH": "HOUR", "D": "DAY", "DD": "DAY",
	"WK": "WEEK", "WW": "WEEK", "M": "MONTH", "MM": "MONTH", "Q": "QUARTER", "QQ": "QUARTER", "YY": "YEAR",
	"YYYY": "YEAR",
}

var intervalParts = regexp.MustCompile(`^\s*'?\s*([0-9]+)\s+([A-Za-z_]+)\s*('?)(.*?)\s*$`)

// Interval returns a TTL's text with the first interval as "30 DAY", as settings have it: ClickHouse also takes
// "30 days", "30 d" and "'30 day'". Other text is returned as it is.
func Interval(text string) string {
	m := intervalParts.FindStringSubmatch(text)
	if m == nil || strings.HasPrefix(strings.TrimSpace(text), "'") != (m[3] != "") {
		return text
	}
	unit := strings.ToUpper(m[2])
	unit = strings.TrimPrefix(unit, "SQL_TSI_")
	if long := intervalUnits[unit]; long != "" {
		unit = long
	} else if one, plural := strings.CutSuffix(unit, "S"); plural {
		unit = one
	}
	if normal := m[1] + " " + unit; intervalText.MatchString(normal) {
		if rest := m[4]; rest != "" && rest[0] != ',' {
			return normal + " " + rest
		}
		return normal + m[4]
	}
	return text
}
