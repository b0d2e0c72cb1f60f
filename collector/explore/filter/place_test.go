package filter

import (
	"strings"
	"testing"
)

// The bar is where somebody writes.
func TestAt(t *testing.T) {
	for text, want := range map[string]Place{
		"|":                                {Want: WantField},
		"src|":                             {Want: WantField, Typed: "src"},
		"sr|c.as":                          {Want: WantField, Typed: "sr"},
		"src.as |":                         {Want: WantOperator, Field: "src.as"},
		"src.as no|":                       {Want: WantOperator, Field: "src.as", Typed: "no"},
		"src.as not |":                     {Want: WantOperator, Field: "src.as"},
		"src.as =|":                        {Want: WantValue, Field: "src.as"},
		"src.as = 645|":                    {Want: WantValue, Field: "src.as", Typed: "645"},
		"src.as = 645| and proto = tcp":    {Want: WantValue, Field: "src.as", Typed: "645"},
		`src.org = "Uni of|`:               {Want: WantValue, Field: "src.org", Typed: "Uni of"},
		`src.org = "Uni"|`:                 {Want: WantValue, Field: "src.org", Typed: "Uni"},
		"src.as = 64500 |":                 {Want: WantWord, Field: "src.as"},
		"src.as = 64500 an|":               {Want: WantWord, Field: "src.as", Typed: "an"},
		"src.as = 64500 and |":             {Want: WantField},
		"src.as = 64500 and not |":         {Want: WantField},
		"src.as = 64500 && (|":             {Want: WantField},
		"not |":                            {Want: WantField},
		"src.as = 1 proto |":               {Want: WantOperator, Field: "proto"},
		"app in (|":                        {Want: WantValue, Field: "app", List: true},
		"app in (https, |":                 {Want: WantValue, Field: "app", List: true},
		"app in (https, d|":                {Want: WantValue, Field: "app", List: true, Typed: "d"},
		"app in (https, dns) |":            {Want: WantWord, Field: "app"},
		"app in (https, dns) or |":         {Want: WantField},
		"(src.as = 1 or dst.as = 2) and |": {Want: WantField},
		"tcp |":                            {Want: WantWord, Field: "proto"},
		"src po|":                          {Want: WantOperator, Field: "src", Typed: "po"},
		"src port |":                       {Want: WantOperator, Field: "src.port"},
		"src port = 4|":                    {Want: WantValue, Field: "src.port", Typed: "4"},
		"port 443 |":                       {Want: WantWord, Field: "port"},
		"org like |":                       {Want: WantValue, Field: "org"},
		"org not contains u|":              {Want: WantValue, Field: "org", Typed: "u"},
		"port = 80, |":                     {Want: WantValue, Field: "port"},
		"port 443 or AS64500 and |":        {Want: WantField},
		"= = = |":                          {Want: WantField},
		")))|":                             {Want: WantField},
	} {
		at := strings.IndexByte(text, '|')
		if strings.HasPrefix(text, "src.as = 64500 &&") {
			at = strings.LastIndexByte(text, '|')
		}
		plain := text[:at] + text[at+1:]
		got := At(plain, at)
		typed := plain[got.From:at]
		if strings.Trim(typed, `"`) != want.Typed {
			t.Errorf("%s: it replaces %q", text, typed)
		}
		got.From, got.To = 0, 0
		if got != want {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
}

func FuzzAt(f *testing.F) {
	f.Add(`src.as = 64500 and dst in (192.0.2.0/24, "x`, 20)
	f.Add(`org = 'é\`, 7)
	f.Fuzz(func(t *testing.T, text string, at int) {
		p := At(text, at)
		if p.From < 0 || p.From > p.To || p.To > len(text) {
			t.Fatalf("%q at %d: %+v", text, at, p)
		}
	})
}
