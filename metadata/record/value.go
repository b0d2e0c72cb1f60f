package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Row holds the value of every column of a table, in the order of Table.Columns. Kind gives the types.
type Row []any

// errMissing is the error of a record without a required value.
var errMissing = errors.New("missing")

// Word is an unquoted YAML word that is a truth value where one is expected, such as yes and off. A text column keeps
// its text.
type Word struct {
	Text   string
	Value  bool
	IsText bool // it is text where no type is expected: YAML 1.1 takes yes for true, but not y and yEs
}

// String is the text.
func (w Word) String() string { return w.Text }

// Coerce converts a record to a row, which it appends to row[:0]. References stay NULL. The error names the column with
// the wrong value; it costs the record.
func (t *Table) Coerce(raw Raw, row Row) (Row, error) {
	return t.CoerceReporting(raw, row, func(string) {})
}

// CoerceReporting is Coerce that also reports each value that was left out because its type is wrong, while the record
// is kept.
func (t *Table) CoerceReporting(raw Raw, row Row, leftOut func(reason string)) (Row, error) {
	row = row[:0]
	for i := range t.Columns {
		c := &t.Columns[i]
		v, wrong, err := c.coerce(raw[c.Name])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		if wrong != "" {
			leftOut(fmt.Sprintf("%s: %s is %s: the value is left out", c.Name, shown(raw[c.Name]), wrong))
		}
		row = append(row, v)
	}
	return row, nil
}

// shown formats a value for a line to the operator.
func shown(v any) string {
	const most = 100
	s := fmt.Sprint(v)
	if _, isText := v.(string); isText {
		s = strconv.Quote(s)
	}
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// ID identifies the record: its id as text; for applications also protocol and ports.
func (t *Table) ID(row Row) string {
	if len(t.key) == 1 {
		return text(row[t.key[0]])
	}
	parts := make([]string, len(t.key))
	for i, k := range t.key {
		parts[i] = text(row[k])
	}
	return strings.Join(parts, " ")
}

// coerce converts a value to the column's kind. If it is left out and the record kept, wrong says what it is not.
func (c *Column) coerce(v any) (value any, wrong string, err error) {
	if v == nil && c.Required {
		return nil, "", errMissing
	}
	if w, isWord := v.(Word); isWord && c.Kind != JSON {
		if v = w.Text; c.Kind == Bool {
			v = w.Value
		}
	}
	switch c.Kind {
	case Text:
		s, err := coerceText(v)
		if err == nil && s == "" && c.Required && c.Name == "id" {
			return nil, "", errMissing
		}
		return s, "", err
	case NullText:
		if v == nil {
			return nil, "", nil
		}
		s, err := coerceText(v)
		return s, "", err
	case Float:
		value = coerceFloat(v)
		return value, wrongUnless(value != nil || isEmpty(v), "not a number"), nil
	case Uint16:
		value, err = required(v, math.MaxUint16)
		return value, "", err
	case Uint32:
		value, err = required(v, math.MaxUint32)
		return value, "", err
	case NullUint32:
		value = coerceUint(v, math.MaxUint32)
		return value, wrongUnless(value != nil || isEmpty(v), "not a whole number up to 4294967295"), nil
	case NullUint64:
		value = coerceUint(v, math.MaxUint64)
		return value, wrongUnless(value != nil || isEmpty(v), "not a whole number"), nil
	case Bool:
		is, ok := coerceBool(v)
		return is, wrongUnless(ok, "neither true nor false"), nil
	case Texts, NullTexts:
		texts, err := coerceTexts(v)
		return texts, wrongUnless(isList(v), notAList(v)), err
	case Pair:
		value, err = coercePair(v)
		return value, "", err
	case Addresses:
		value, err = coerceAddresses(v)
		return value, wrongUnless(isList(v), notAList(v)), err
	case NullIPv4, NullIPv6:
		value, err = coerceAddress(v, c.Kind == NullIPv4)
		return value, "", err
	case Subnets:
		value, err = coerceSubnets(v)
		return value, "", err
	case Date:
		date, ok := coerceDate(v)
		return date, wrongUnless(ok || isEmpty(v), "not a date"), nil
	case JSON:
		value, err = coerceJSON(v)
		return value, "", err
	default: // references are looked up
		return nil, "", nil
	}
}

// notAList says what a value is not, and how a list of it is written.
func notAList(v any) string {
	if s, isText := v.(string); isText {
		return fmt.Sprintf("not a list, which is written [%s]", shown(s))
	}
	return "not a list"
}

func wrongUnless(right bool, wrong string) string {
	if right {
		return ""
	}
	return wrong
}

// isEmpty reports whether there is no value. That is not a wrong one.
func isEmpty(v any) bool {
	s, isText := v.(string)
	return v == nil || isText && strings.TrimSpace(s) == ""
}

func required(v any, most uint64) (any, error) {
	n := coerceUint(v, most)
	if n == nil {
		return nil, fmt.Errorf("%s is not a whole number from 0 to %d", shown(v), most)
	}
	return n, nil
}

// coerceText accepts what YAML makes of text that looks like something else, such as 143 or true.
func coerceText(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case bool, int, int64, uint64, uint32, float64, json.Number:
		return text(v), nil
	case Word:
		return v.Text, nil
	case time.Time:
		return v.Format(time.DateOnly), nil
	default:
		return "", fmt.Errorf("%s instead of a text", typeName(v))
	}
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case uint64:
		return strconv.FormatUint(v, 10)
	case float64:
		return string(appendFloat(nil, v))
	default:
		return fmt.Sprint(v)
	}
}

func typeName(v any) string {
	switch v.(type) {
	case map[string]any:
		return "a mapping"
	case []any, []string:
		return "a list"
	case string:
		return "a text"
	case bool:
		return "a truth value"
	default:
		return "a number"
	}
}

// coerceFloat returns NULL if the value is not a finite number.
func coerceFloat(v any) any {
	if f, ok := Number(v); ok {
		return f
	}
	return nil
}

// Number converts a value of any numeric type, or a number as text. false: the value is not a finite number.
func Number(v any) (f float64, ok bool) {
	var err error
	switch v := v.(type) {
	case float64:
		f = v
	case float32:
		f = float64(v)
	case int:
		f = float64(v)
	case int64:
		f = float64(v)
	case uint64:
		f = float64(v)
	case string:
		f, err = strconv.ParseFloat(strings.TrimSpace(v), 64)
	case json.Number:
		f, err = v.Float64()
	default:
		return 0, false
	}
	return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
}

// coerceUint returns NULL if the value is not a whole number up to largest.
func coerceUint(v any, largest uint64) any {
	var n uint64
	var err error
	switch v := v.(type) {
	case uint64:
		n = v
	case uint32:
		n = uint64(v)
	case int:
		n, err = nonNegative(int64(v))
	case int64:
		n, err = nonNegative(v)
	case float64:
		if v < 0 || v >= 1<<53 || v != math.Trunc(v) {
			return nil
		}
		n = uint64(v)
	case string:
		n, err = strconv.ParseUint(strings.TrimSpace(v), 10, 64)
	case json.Number:
		n, err = strconv.ParseUint(v.String(), 10, 64)
	default:
		return nil
	}
	if err != nil || n > largest {
		return nil
	}
	return n
}

func nonNegative(n int64) (uint64, error) {
	if n < 0 {
		return 0, strconv.ErrRange
	}
	return uint64(n), nil
}

// coerceBool accepts truth values, 1 and 0, and their texts; no value is false. Everything else is false with ok false,
// including a quoted "yes", which the reference stack also takes for false.
func coerceBool(v any) (is, ok bool) {
	switch v := v.(type) {
	case nil:
		return false, true
	case bool:
		return v, true
	case string:
		switch strings.ToLower(strings.TrimSpace(v)) {
		case "true", "1":
			return true, true
		case "false", "no", "off", "n", "0", "":
			return false, true
		}
		return false, false
	default:
		n, ok := coerceUint(v, 1).(uint64)
		return n == 1, ok
	}
}

// list accepts a list or its JSON text. Everything else gives the empty list.
func list(v any) []any {
	switch v := v.(type) {
	case []any:
		return v
	case []string:
		l := make([]any, len(v))
		for i, s := range v {
			l[i] = s
		}
		return l
	case string:
		var l []any
		if json.Unmarshal([]byte(v), &l) == nil {
			return l
		}
	}
	return nil
}

// isList reports whether list accepts the value, or there is no value.
func isList(v any) bool { return isEmpty(v) || list(v) != nil }

func coerceTexts(v any) ([]string, error) {
	l := list(v)
	texts := make([]string, len(l))
	for i, e := range l {
		s, err := coerceText(e)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
		texts[i] = s
	}
	return texts, nil
}

func coercePair(v any) (any, error) {
	pair, err := coerceTexts(v)
	if err != nil {
		return nil, err
	}
	if len(pair) != 2 {
		return nil, fmt.Errorf("%d entries instead of two", len(pair))
	}
	return pair, nil
}

// coerceDate returns 1970-01-01 if the value is not a date.
func coerceDate(v any) (date string, ok bool) {
	switch v := v.(type) {
	case time.Time:
		return v.Format(time.DateOnly), true
	case string:
		// ClickHouse's Date ends in 2149. The time of day is dropped.
		day := v
		if len(v) > len(time.DateOnly) && (v[len(time.DateOnly)] == 'T' || v[len(time.DateOnly)] == ' ') {
			day = v[:len(time.DateOnly)]
		}
		if t, err := time.Parse(time.DateOnly, day); err == nil && t.Year() >= 1970 && t.Year() < 2149 {
			return day, true
		}
	}
	return "1970-01-01", false
}

// coerceJSON returns the text of an object. Text must be one already and stays as it is.
func coerceJSON(v any) (any, error) {
	switch v := v.(type) {
	case nil:
		return "{}", nil
	case map[string]any:
		return string(appendJSON(nil, v)), nil
	case string:
		var object map[string]any
		if err := json.Unmarshal([]byte(v), &object); err != nil || object == nil {
			return nil, errors.New("not the text of a JSON object")
		}
		return v, nil
	default:
		return nil, fmt.Errorf("%s instead of a mapping", typeName(v))
	}
}
