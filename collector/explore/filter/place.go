package filter

import (
	"errors"
	"strings"
)

// Want is what the grammar allows at a place of a filter.
type Want int

// A field, an operator after it, a value after that, or a word such as and.
const (
	WantField Want = iota
	WantOperator
	WantValue
	WantWord
)

// Place is the place of the cursor in a filter.
type Place struct {
	Want     Want
	From, To int    // what is written there already, in bytes of the text
	Typed    string // the same without its quotes
	Field    string // of an operator or a value
	List     bool   // the value is one of a list in parentheses
}

// At returns what the grammar allows at an offset of a text, which can be an incomplete filter. Of the text after the
// offset it uses only the rest of a word.
func At(text string, at int) Place {
	at = min(max(at, 0), len(text), MaxLength)
	before := text[:at]
	tokens, err := scan(before)
	p := Place{From: at, To: at}
	var bad *Error
	if errors.As(err, &bad) { // a quote that is not closed yet
		p.From = bad.At
		p.Typed = strings.TrimLeft(before[bad.At:], `"'`)
		if tokens, err = scan(before[:bad.At]); err != nil {
			return p
		}
		tokens = tokens[:len(tokens)-1]
	} else {
		tokens = tokens[:len(tokens)-1]
		if n := len(tokens); n > 0 && tokens[n-1].at+tokens[n-1].len == at &&
			(tokens[n-1].kind == word || tokens[n-1].kind == quoted || keyword(tokens[n-1].text) != word) &&
			tokens[n-1].text != "!" {
			p.From, p.Typed = tokens[n-1].at, tokens[n-1].text
			tokens = tokens[:n-1]
		}
	}
	for p.To < len(text) && p.Typed != "" && !strings.ContainsAny(text[p.To:p.To+1], " \t\n\"'(){},;`=!<>~&|") {
		p.To++
	}
	p.follow(tokens)
	return p
}

// follow sets what the grammar allows after the tokens.
func (p *Place) follow(tokens []token) {
	for _, t := range tokens {
		switch p.Want {
		case WantField:
			p.afterField(t)
		case WantOperator:
			p.afterOperator(t)
		case WantValue:
			switch {
			case t.kind == open:
				p.List = true
			default:
				p.Want = WantWord
			}
		case WantWord:
			switch {
			case t.kind == comma:
				p.Want = WantValue
			case p.List && t.kind == shut:
				p.List = false
			case t.kind == word: // and need not be written
				p.List = false
				p.afterField(t)
			case t.kind != shut:
				p.Want, p.Field, p.List = WantField, "", false
			}
		}
	}
}

// afterField sets what may follow a token in the place of a field.
func (p *Place) afterField(t token) {
	switch field := fieldOf(t.text); {
	case t.kind == word && field != "":
		p.Want, p.Field = WantWord, field
	case t.kind == word:
		p.Want, p.Field = WantOperator, t.text
	default:
		p.Want, p.Field = WantField, ""
	}
}

// afterOperator sets what may follow a token in the place of an operator.
func (p *Place) afterOperator(t token) {
	_, written := operatorOf(t)
	joined := join(p.Field, t.text)
	switch {
	case t.kind == not:
	case written:
		p.Want = WantValue
	case t.kind == word && joined != "": // src port 443
		p.Field = joined
	case t.kind == word, t.kind == quoted: // port 443
		p.Want = WantWord
	default:
		p.Want, p.Field = WantField, ""
	}
}
