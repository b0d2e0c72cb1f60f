package bounds

import (
	"encoding/json"
	"fmt"
	"io"
)

// Decoder reads JSON value by value and token by token. Each of them is an entry of its Reader.
type Decoder struct {
	*json.Decoder
	in *Reader
}

// NewDecoder returns a decoder of text, which is in or JSON(in).
func NewDecoder(text io.Reader, in *Reader) *Decoder { return &Decoder{json.NewDecoder(text), in} }

// Decode reads a value.
func (d *Decoder) Decode(v any) error {
	err := d.Decoder.Decode(v)
	d.in.Next()
	return err
}

// Token reads a token.
func (d *Decoder) Token() (json.Token, error) {
	t, err := d.Decoder.Token()
	d.in.Next()
	return t, err
}

// Skip reads a value token by token without keeping it, so that it may be larger than an entry. More than most levels
// of arrays and objects are an error: json.Decoder keeps some bytes of each, without a limit of its own.
func (d *Decoder) Skip(most int) error {
	for depth := 0; ; {
		token, err := d.Token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > most {
				return fmt.Errorf("more than %d levels deep", most)
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}
