package clickhouse

import (
	"errors"
	"strings"
)

// errStatement is the error for a block in a file whose statement is not one that this program writes. It must never be
// executed: otherwise anyone who can write the file could make the server do anything.
var errStatement = errors.New("its statement is no INSERT of this collector")

// IsInsert reports whether a statement in a file is one that InsertQuery or InsertByName returns: an INSERT of a Native
// block into a table, and nothing else.
func IsInsert(query string) bool {
	rest, ok := strings.CutPrefix(query, "INSERT INTO ")
	if !ok {
		return false
	}
	if rest, ok = cutIdent(rest); !ok {
		return false
	}
	if after, found := strings.CutPrefix(rest, "."); found {
		if rest, ok = cutIdent(after); !ok {
			return false
		}
	}
	if rest == skipUnknownFields {
		return true
	}
	rest, ok = strings.CutPrefix(rest, " (")
	for ok {
		if rest, ok = cutIdent(rest); !ok {
			return false
		}
		if rest == ")" {
			return true
		}
		rest, ok = strings.CutPrefix(rest, ", ")
	}
	return false
}

// cutIdent removes a leading identifier that was quoted by QuoteIdent.
func cutIdent(s string) (rest string, ok bool) {
	if len(s) < 3 || s[0] != '`' || s[1] == '`' {
		return s, false
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '`':
			return s[i+1:], true
		}
	}
	return s, false
}
