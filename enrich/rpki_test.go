package enrich

import (
	"net/netip"
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich/rpki"
)

func currentOf(t testing.TB, all ...rpki.VRP) *rpki.Current {
	t.Helper()
	b := rpki.NewBuilder(nil)
	for _, v := range all {
		if _, err := b.Add(v); err != nil {
			t.Fatal(err)
		}
	}
	c := new(rpki.Current)
	c.Set(b.Table())
	return c
}

func payload(prefix string, most uint8, as uint32) rpki.VRP {
	return rpki.VRP{Prefix: netip.MustParsePrefix(prefix), MaxLength: most, AS: as}
}

// The state of the destination: of the router's route, else of the record's prefix and AS.
func TestValidation(t *testing.T) {
	r, _ := testRIB(t, []testRoute{
		{prefix: "10.0.0.0/8", path: sequence(64501)},
		{prefix: "10.1.0.0/16", path: sequence(64502)},
		{prefix: "10.2.0.0/16", path: sequence(64501, 64503)},
		{prefix: "10.3.0.0/16"}, // the router's own
		{prefix: "10.4.0.0/16", path: []route.Segment{{Kind: route.Sequence, AS: []uint32{64501}},
			{Kind: route.Set, AS: []uint32{64504, 64505}}}},
		{prefix: "20.0.0.0/8", path: sequence(64501)},
		{prefix: "20.1.0.0/16", path: sequence(64502)},
		{prefix: "20.1.1.0/24", path: sequence(64503)},
		{prefix: "2001:db8::/32", path: sequence(64506)},
	})
	current := currentOf(t, payload("10.0.0.0/8", 8, 64501), payload("10.2.0.0/16", 16, 64503),
		payload("10.3.0.0/16", 16, 64500), payload("10.4.0.0/16", 16, 64505), payload("20.1.0.0/16", 24, 64999),
		payload("30.1.0.0/16", 24, 64510), payload("2001:db8::/32", 48, 64506))
	tests := []struct {
		name, exporter, to string
		as                 uint32
		mask               uint8
		want               string
		pmacct             byte
	}{
		{"valid", "192.0.2.1", "10.0.0.1", 0, 0, "valid", 'v'},
		{"invalid within a valid route", "192.0.2.1", "10.1.0.1", 0, 0, "invalid", 'V'},
		{"the last AS of the path", "192.0.2.1", "10.2.0.1", 0, 0, "valid", 'v'},
		{"the router's own", "192.0.2.1", "10.3.0.1", 0, 0, "valid", 'v'},
		{"a path that ends in a set", "192.0.2.1", "10.4.0.1", 0, 0, "invalid", 'V'},
		{"without payload", "192.0.2.1", "20.0.0.1", 0, 0, "unknown", 'u'},
		{"invalid within an unknown route", "192.0.2.1", "20.1.0.1", 0, 0, "invalid", 'U'},
		{"two invalid routes within an unknown one", "192.0.2.1", "20.1.1.1", 0, 0, "invalid", 'U'},
		{"IPv6", "192.0.2.1", "2001:db8::1", 0, 0, "valid", 'v'},
		{"the record's AS is not the route's", "192.0.2.1", "10.0.0.1", 64999, 8, "valid", 'v'},
		{"no router: the record's mask and AS", "192.0.2.9", "30.1.1.1", 64510, 20, "valid", 'v'},
		{"no router: longer than allowed", "192.0.2.9", "30.1.1.1", 64510, 25, "invalid", 'i'},
		{"no router, no mask", "192.0.2.9", "30.1.1.1", 64510, 0, "", 'u'},
		{"no router, no AS", "192.0.2.9", "30.1.1.1", 0, 16, "", 'u'},
		{"no route", "192.0.2.1", "50.0.0.1", 0, 0, "", 'u'},
	}
	s, _ := NewBuilder().Build()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := New(Options{Routes: RouteOptions{RIB: r}, RPKI: RPKIOptions{Current: current, Covers: true}})
			var row Row
			for range 2 { // the second time with what is remembered
				e.Begin()
				e.Enrich(s, &flow.Record{Exporter: addr(test.exporter), DstAddr: addr(test.to), DstAS: test.as,
					DstMask: test.mask}, &row)
				e.End()
				if got := row.DstRPKI; got.String() != test.want || got.Pmacct() != test.pmacct {
					t.Errorf("%q, pmacct %c; want %q, %c", got, got.Pmacct(), test.want, test.pmacct)
				}
			}
		})
	}
	t.Run("other payloads count from the next batch on", func(t *testing.T) {
		e := New(Options{RPKI: RPKIOptions{Current: current}})
		var row Row
		look := func() string {
			e.Begin()
			defer e.End()
			e.Enrich(s, &flow.Record{SrcAddr: addr("30.1.1.1"), SrcAS: 64510, SrcMask: 16}, &row)
			return row.SrcRPKI.String()
		}
		if got := look(); got != "valid" {
			t.Error(got)
		}
		current.Set(rpki.Empty)
		if got := look(); got != "unknown" {
			t.Error(got)
		}
	})
}

// Without a route and a mask it is the announced prefix that metadata has.
func TestValidationOfAnnouncedPrefix(t *testing.T) {
	b := NewBuilder()
	b.AddASBlock(ASPrefix{Prefix: netip.MustParsePrefix("30.1.0.0/16"), ASID: 64510})
	s, _ := b.Build()
	e := New(Options{RPKI: RPKIOptions{Current: currentOf(t, payload("30.1.0.0/16", 16, 64510))}})
	var row Row
	e.Begin()
	defer e.End()
	for as, want := range map[uint32]string{0: "valid", 64510: "valid", 64511: "invalid"} {
		e.Enrich(s, &flow.Record{DstAddr: addr("30.1.1.1"), DstAS: as}, &row)
		if got := row.DstRPKI.String(); got != want {
			t.Errorf("AS %d in the record: %s, want %s", as, got, want)
		}
	}
}

func TestValidationAllocations(t *testing.T) {
	r, _ := testRIB(t, []testRoute{{prefix: "10.0.0.0/8", path: sequence(64501)},
		{prefix: "10.1.0.0/16", path: sequence(64502)}})
	e := New(Options{Routes: RouteOptions{RIB: r, Source: true, Meta: true, CommunityNames: true},
		RPKI: RPKIOptions{Current: currentOf(t, payload("10.0.0.0/8", 8, 64501)), Covers: true}})
	s, _ := NewBuilder().Build()
	var row Row
	record := flow.Record{}
	if n := testing.AllocsPerRun(100, func() {
		e.Begin()
		for i := range byte(16) {
			record = flow.Record{Exporter: addr4(192, 0, 2, 1), SrcAddr: addr4(10, 1, 2, i),
				DstAddr: addr4(10, i, 2, 3)}
			e.Enrich(s, &record, &row)
		}
		e.End()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkValidation(b *testing.B) {
	r, _ := testRIB(b, []testRoute{{prefix: "10.0.0.0/8", path: sequence(64501)}})
	s, _ := NewBuilder().Build()
	for name, o := range map[string]RPKIOptions{"off": {}, "on": {Current: currentOf(b,
		payload("10.0.0.0/8", 8, 64501))}} {
		b.Run(name, func(b *testing.B) {
			e := New(Options{Routes: RouteOptions{RIB: r}, RPKI: o})
			var row Row
			e.Begin()
			defer e.End()
			for b.Loop() {
				e.Enrich(s, &flow.Record{Exporter: addr4(192, 0, 2, 1), SrcAddr: addr4(10, 1, 2, 3),
					DstAddr: addr4(10, 2, 2, 3)}, &row)
			}
		})
	}
}
