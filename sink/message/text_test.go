package message

import (
	"encoding/json"
	"strings"
	"testing"
)

// Every byte at every place of texts around the eight bytes that are looked at at once.
func TestStringsAtEveryPlace(t *testing.T) {
	for length := 1; length <= 25; length++ {
		for at := range length {
			for c := range 256 {
				s := strings.Repeat("~", at) + string([]byte{byte(c)}) + strings.Repeat("!", length-at-1)
				special := c < ' ' || c == '"' || c == '\\' || c >= 0x80
				if plain(s) == special || ascii(s) == (c >= 0x80) {
					t.Fatalf("%q: plain %v, ascii %v", s, plain(s), ascii(s))
				}
				var back string
				if err := json.Unmarshal(appendString(nil, s), &back); err != nil {
					t.Fatalf("%q: %v", s, err)
				}
				if want := strings.ToValidUTF8(s, "\ufffd"); back != want {
					t.Fatalf("%q comes back as %q", s, back)
				}
			}
		}
	}
}
