package explore

import (
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/metranova/flow-collector/collector/explore/filter"
)

// Who may see some scopes alone sees no flow of another one, whatever is asked for.
func testScopes(t *testing.T, e *Explorer) {
	q := Question{Unit: Packets, View: Table, Top: 8, Only: []string{"comm:lhcone", "comm:'"},
		From: noon.Add(-time.Hour), To: noon}
	for filter, want := range map[string]float64{"": 1800, "scope = unknown or proto = udp": 0,
		"not scope = comm:lhcone": 0} {
		q.Filter = filter
		a, err := e.Ask(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if total := a.Sum().Total; total != want {
			t.Errorf("%q: %g packets, want %g", filter, total, want)
		}
	}
	q.Filter = ""
	for _, d := range e.Planner.list {
		if d.Only {
			continue
		}
		q.By = []string{d.Name}
		a, err := e.Ask(t.Context(), q)
		if err != nil {
			t.Errorf("by %s: %v", d.Name, err)
			continue
		}
		for _, s := range a.Series {
			if s.Total > 1800 {
				t.Errorf("by %s: %s has %g packets of 1800", d.Name, s.Label(), s.Total)
			}
		}
	}
	if _, last, err := e.Seen(t.Context(), "proto = udp", []string{"comm:lhcone"}, 7); err != nil || !last.IsZero() {
		t.Errorf("a flow of another scope was seen at %s, %v", last, err)
	}
	for filter, want := range map[string]string{"proto = ": "tcp", "src.ip = ": "192.0.2.7"} {
		all, err := e.Suggest(t.Context(), filter, len(filter), []string{"comm:lhcone"})
		if err != nil || len(all) != 1 || all[0].Text != want {
			t.Errorf("%s: %+v, %v", filter, all, err)
		}
	}
}

func testFilters(t *testing.T, e *Explorer) {
	for text, want := range map[string]float64{
		"":                                      360,
		"src.as = 64500":                        180,
		"SRC_AS = AS64500 and not proto = icmp": 180,
		"src.as = 0.64500":                      180,
		"as = 64510":                            180,
		"not as = 64510":                        180,
		"as != 64510":                           180,
		"as in (64501, 64511)":                  240,
		`src.as = "uni-a"`:                      180,
		`src.as = "old name"`:                   0,
		"src.as ~ uni":                          180,
		"src.as = uni*":                         180,
		`src.org = "université de genève"`:      180,
		"src.org = UNI":                         180,
		"src.org ~ GEN":                         180,
		"src.org = unknown":                     60,
		"src.country = ch":                      300,
		"not src.country = CH":                  60,
		"src in 192.0.2.0/24":                   180,
		"src = 192.0.2.7":                       180,
		"src in 0.0.0.0/0":                      240,
		"src in ::/0":                           120,
		"ip in (2001:db8::/32, 203.0.113.1)":    240,
		"dst not in 203.0.113.0/25":             120,
		"dst.port = 443 or dst.port = 53":       300,
		"dst.port < 443":                        180,
		"app = https":                           180,
		"app = 53":                              120,
		"app = tcp/443":                         180,
		"scope = comm:lhcone":                   180,
		"scope ~ lhc":                           180,
		"scope = as:64500":                      180,
		"scope in (AS:64500, comm:x)":           180,
		"scope ~ 64500":                         0,
		"scope = unknown":                       180,
		"community = 64500:1":                   180,
		"if = r1::down":                         300,
		`if ~ "the world"`:                      360,
		"circuit = c1":                          360,
		"circuit = nothing":                     0,
		"discipline = physics":                  180,
		"bytes >= 3k":                           180,
		"bytes > 3000":                          0,
		"bytes < 0.002M":                        60,
		"proto in (TCP, udp)":                   300,
		"vrf = blue and vlan = 7 and dscp = 46": 180,
		"tcp port 443":                          180,
		"proto 6":                               180,
		"src net 192.0.2/24":                    180,
		"dst.port between 50 and 60":            120,
		"dst port 50-60,443":                    300,
		"as 64510-64511 and not src.as > 64500": 240,
		"src.as between AS64500 and AS64501":    300,
		"src_country is null":                   60,
		"src_country is not null":               300,
		"src.org not like '%gen%'":              180,
		"DstAddr << 203.0.113.0/24 and ip4":     240,
		"src 192.0.2.1-192.0.2.9":               180,
		"router ip 192.0.2.250":                 360,
		"device in (r1.example.net)":            360,
		"exporter = 2001:db8::250":              360,
		"in if up":                              360,
		"flags = none":                          360,
		"flags ~ syn":                           0,
		"dscp ef":                               180,
		`as = "AS64500 UNI-A"`:                  180,
		"app 443/tcp":                           180,
	} {
		a := ask(t, e, url.Values{"view": {"table"}, "unit": {"packets"}, "from": {"2026-03-05T11:00"},
			"to":     {"2026-03-05T12:00"},
			"filter": {text}}.Encode())
		got := 0.0
		for _, s := range a.Series {
			got += s.Total / 10
		}
		if got != want {
			t.Errorf("%s: %g, want %g", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"src.sa = 1":      "src.sa is no field: did you mean src.as?",
		"src.ip = 1.2.3":  "1.2.3 is neither an address nor a prefix, such as 192.0.2.0/24 or 2001:db8::/32",
		"src.ip ~ 1":      "src.ip is an address: use = or in",
		"proto > tcp":     "proto has no order: use =, in or ~",
		"as > unknown":    "unknown is no AS number",
		"flags ~ 1-2":     "flags is a number or names of flags, such as SYN+ACK",
		"dst.port = http": "dst.port is a number, such as 443 or 8000-8100; names are those of app: app = https",
		"bytes > 3X":      "bytes is a number, such as 1500, 10k or 2.5M",
		"proto =":         "here the filter ends; expected a value",
	} {
		_, err := e.Ask(t.Context(), Question{Filter: text, Unit: Bits, View: Table, Top: 5, Last: time.Hour})
		var bad *filter.Error
		if !errors.As(err, &bad) || bad.Text != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
