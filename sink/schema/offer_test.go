package schema

import (
	"context"
	"regexp"
	"strings"
	"testing"
)

func TestPlainCodec(t *testing.T) {
	for _, test := range []struct{ server, ours string }{
		{"CODEC(Delta(8), ZSTD(1))", "Delta, ZSTD"},
		{"CODEC(GCD(8), T64, ZSTD(1))", codecCounter},
		{"CODEC(T64, ZSTD(1))", codecTime},
		{"CODEC(ZSTD(3))", codecText},
	} {
		if is, want := plainCodec(test.server), plainCodec("CODEC("+test.ours+")"); is != want {
			t.Errorf("%s is %s, want %s", test.server, is, want)
		}
	}
	if plainCodec("CODEC(ZSTD(1))") == plainCodec("CODEC("+codecText+")") ||
		plainCodec("") == plainCodec("CODEC(ZSTD(1))") {
		t.Error("other codecs are the same")
	}
}

// A table of an earlier version keeps its codecs at a start; what is offered makes it what a new one would be, and its
// old rows too when they are rewritten.
func TestOffers(t *testing.T) {
	conn, ctx := engine(t), context.Background()
	s := goldenSettings()
	apply(t, conn, s)
	offers, err := Offers(ctx, conn, s)
	if err != nil || len(offers) != 0 {
		t.Fatalf("new tables are offered %+v, %v", offers, err)
	}
	run(t, conn, "ALTER TABLE golden.data_flow MODIFY COLUMN bit_count CODEC(LZ4), MODIFY COLUMN ext CODEC(LZ4)")
	run(t, conn,
		"INSERT INTO golden.data_flow (start_time, bit_count) SELECT now64(), number * 8000 FROM numbers(100000)")
	if lines := apply(t, conn, s); len(lines) != 0 {
		t.Errorf("a start says %q", lines)
	}
	if offers, err = Offers(ctx, conn, s); err != nil || len(offers) != 1 {
		t.Fatalf("offered %+v, %v; want one change", offers, err)
	}
	o := offers[0]
	if o.Table != "data_flow" || !o.Rewrites || !strings.Contains(o.Line, "2 columns (ext, bit_count)") {
		t.Errorf("offered %+v", o)
	}
	before, err := SizeOf(ctx, conn, &s, o.Table)
	if err != nil || before.Rows != 100000 || len(before.Partitions) == 0 {
		t.Fatalf("size %+v, %v", before, err)
	}
	if err := Accept(ctx, conn, &s, o); err != nil {
		t.Fatal(err)
	}
	for _, partition := range before.Partitions {
		if err := Rewrite(ctx, conn, &s, o.Table, partition); err != nil {
			t.Fatal(err)
		}
	}
	if after, err := SizeOf(ctx, conn, &s, o.Table); err != nil || after.Rows != before.Rows ||
		after.Bytes >= before.Bytes {
		t.Errorf("size %+v, %v; before %+v", after, err, before)
	}
	if offers, err = Offers(ctx, conn, s); err != nil || len(offers) != 0 {
		t.Errorf("still offered %+v, %v", offers, err)
	}
}

// The comments of a new version reach an existing table only if the operator asks for it.
func TestOffers_comments(t *testing.T) {
	conn, ctx := engine(t), context.Background()
	s := goldenSettings()
	apply(t, conn, s)
	run(t, conn, "ALTER TABLE golden.data_flow COMMENT COLUMN sampling_source 'Old.', COMMENT COLUMN src_ip ''")
	run(t, conn, "ALTER TABLE golden.collector_loss COMMENT COLUMN stage 'It''s old.'")
	if lines := apply(t, conn, s); len(lines) != 0 {
		t.Errorf("a start says %q", lines)
	}
	offers, err := Offers(ctx, conn, s)
	if err != nil || len(offers) != 2 {
		t.Fatalf("offered %+v, %v; want two changes", offers, err)
	}
	for _, o := range offers {
		if o.Rewrites || !strings.Contains(o.Line, "comments of ") {
			t.Errorf("offered %+v", o)
		}
		if err := Accept(ctx, conn, &s, o); err != nil {
			t.Fatal(err)
		}
	}
	var comment string
	if err := conn.QueryRow(ctx,
		"SELECT comment FROM system.columns WHERE database = 'golden' AND table = 'data_flow' "+
			"AND name = 'sampling_source'").Scan(&comment); err != nil ||
		comment != flowColumn("sampling_source").Comment {
		t.Errorf("the comment is %q, %v", comment, err)
	}
	if offers, err = Offers(ctx, conn, s); err != nil || len(offers) != 0 {
		t.Errorf("still offered %+v, %v", offers, err)
	}
}

// A table of an earlier version keeps how its parts are written until the operator asks for the new way. Rows read the
// same before and after, in parts of both kinds and when these are merged. What the operator set stays.
func TestOffers_costs(t *testing.T) {
	conn, ctx := engine(t), context.Background()
	s := goldenSettings()
	s.Views, s.FlowTTL.Interval = nil, "30 YEAR"
	apply(t, conn, s)
	var names, want []string
	for _, c := range jsonSettings {
		names, want = append(names, c.name), append(want, c.String())
	}
	run(t, conn, "ALTER TABLE golden.data_flow RESET SETTING "+strings.Join(names, ", "),
		"ALTER TABLE golden.data_flow MODIFY SETTING min_bytes_for_wide_part = 0")
	flowRow(t, conn, `{"bgp_community": ["64500:1"], "vlan_id": 7, "vrf_name": "blue", "own": [1, 2]}`)
	flowRow(t, conn, `{}`)
	read := func() string {
		return ask(t, conn, "SELECT ext.bgp_community, ext.vlan_id, toString(ext.vrf_name), toString(ext.own), "+
			"JSONAllPathsWithTypes(ext) FROM golden.data_flow WHERE NOT ignore(insert_time) ORDER BY ext.vlan_id")
	}
	before := read()
	if !strings.Contains(before, "blue") || !strings.Contains(before, "64500:1") {
		t.Fatalf("the rows are\n%s", before)
	}
	if lines := apply(t, conn, s); len(lines) != 0 {
		t.Errorf("a start says %q", lines)
	}
	offers, err := Offers(ctx, conn, s)
	if err != nil || len(offers) != 1 || offers[0].Rewrites {
		t.Fatalf("offered %+v, %v; want one change", offers, err)
	}
	if !strings.HasSuffix(offers[0].Statement, " MODIFY SETTING "+strings.Join(want, ", ")) {
		t.Errorf("the statement is %q, want the settings %q", offers[0].Statement, want)
	}
	if err := Accept(ctx, conn, &s, offers[0]); err != nil {
		t.Fatal(err)
	}
	if got := read(); got != before {
		t.Errorf("the rows are\n%s, before\n%s", got, before)
	}
	flowRow(t, conn, `{"bgp_community": ["64500:1"], "vlan_id": 7, "vrf_name": "blue", "own": [1, 2]}`)
	flowRow(t, conn, `{}`)
	// Each row is there twice now, one after the other.
	lines := strings.Split(before, "\n")
	twice := strings.Join([]string{lines[0], lines[0], lines[1], lines[1]}, "\n")
	for _, step := range []string{"in parts of both kinds", "merged"} {
		if got := read(); got != twice {
			t.Errorf("%s: the rows are\n%s, want\n%s", step, got, twice)
		}
		run(t, conn, "OPTIMIZE TABLE golden.data_flow FINAL")
	}
	if offers, err = Offers(ctx, conn, s); err != nil || len(offers) != 0 {
		t.Errorf("still offered %+v, %v", offers, err)
	}
}

// A table of an earlier version keeps the types of its paths until the operator asks for the new ones. Rows read the
// same before and after.
func TestOffers_pathTypes(t *testing.T) {
	conn, ctx := engine(t), context.Background()
	s := goldenSettings()
	s.Views, s.FlowTTL.Interval = nil, "30 YEAR"
	s.FlowExtensions = append(s.FlowExtensions, "bgp_src")
	apply(t, conn, s)
	now := FlowExtType(s.FlowExtensions, s.IPRefExtensions)
	before := "JSON(max_dynamic_paths=64, " + strings.TrimPrefix(strings.TrimSuffix(
		strings.ReplaceAll(now, "Array(String)", "Array(LowCardinality(String))"), ")"), "JSON(") + ", own UInt8)"
	run(t, conn, "ALTER TABLE golden.data_flow MODIFY COLUMN ext "+before)
	flowRow(t, conn, `{"bgp_src_community": ["64500:1", "64500:2"], "vlan_id": 7, "vrf_name": "blue", "own": 3}`)
	flowRow(t, conn, `{}`)
	read := func() string {
		return ask(t, conn, "SELECT ext, ext.bgp_src_community, has(ext.bgp_src_community, '64500:2') "+
			"FROM golden.data_flow WHERE NOT ignore(insert_time) ORDER BY ext.vlan_id")
	}
	rows := read()
	if !strings.Contains(rows, "64500:1") {
		t.Fatalf("the rows are\n%s", rows)
	}
	if lines := apply(t, conn, s); len(lines) != 0 {
		t.Errorf("a start says %q", lines)
	}
	offers, err := Offers(ctx, conn, s)
	if err != nil || len(offers) != 1 || !strings.Contains(offers[0].Line, "bgp_src_community") ||
		!strings.Contains(offers[0].Line, "20 s a million rows") {
		t.Fatalf("offered %+v, %v; want one change of types", offers, err)
	}
	if err := Accept(ctx, conn, &s, offers[0]); err != nil {
		t.Fatal(err)
	}
	if got := read(); got != rows {
		t.Errorf("the rows are\n%s, before\n%s", got, rows)
	}
	typ, err := ExtType(ctx, conn, &s)
	if err != nil || !strings.Contains(typ, "bgp_src_community Array(String)") || !strings.Contains(typ, "own UInt8") ||
		!strings.Contains(typ, "max_dynamic_paths=64") {
		t.Errorf("ext is %s, %v", typ, err)
	}
	if offers, err = Offers(ctx, conn, s); err != nil || len(offers) != 0 {
		t.Errorf("still offered %+v, %v", offers, err)
	}
}

// Columns of refs get dictionaries in a new table that is made with them, and in an existing one when the operator says
// so. Rows, rollups and sums are the same with either type.
func TestOffers_refTypes(t *testing.T) {
	conn, ctx := engine(t), context.Background()
	s := goldenSettings()
	s.FlowTTL.Interval, s.Rollups = "30 YEAR", []string{"src_prefix"}
	insert := func() {
		t.Helper()
		run(t, conn, "INSERT INTO golden.data_flow (start_time, src_ip_ref, dst_ip_ref, device_ref, bit_count) VALUES "+
			"('2026-01-01 10:02:03', 'a__v1', NULL, 'd__v1', 80), ('2026-01-01 10:02:03', 'b__v1', 'a__v1', NULL, 8)")
	}
	read := func() string {
		t.Helper()
		return ask(t, conn, "SELECT src_ip_ref, dst_ip_ref, device_ref, bit_count FROM golden.data_flow ORDER BY 1") +
			ask(t, conn, "SELECT src_ip_ref, sum(bit_count) FROM golden.rollup_src_prefix_1d GROUP BY 1 ORDER BY 1") +
			ask(t, conn, "SELECT src_ip_ref, sum(bit_count) FROM golden.sums_src_prefix(from = 1767261600, "+
				"to = 1767348000, step = 0, rows = 0) GROUP BY 1 ORDER BY 1")
	}
	types := func() string {
		t.Helper()
		return ask(t, conn, "SELECT DISTINCT type FROM system.columns WHERE database = 'golden' AND "+
			"table = 'data_flow' AND name LIKE '%_ref' AND name NOT LIKE '%_as_ref' ORDER BY 1")
	}
	apply(t, conn, s)
	insert()
	rows := read()
	s.LowCardinalityRefs = true
	if lines := apply(t, conn, s); len(lines) != 0 {
		t.Errorf("a start says %q", lines)
	}
	offers, err := Offers(ctx, conn, s)
	if err != nil || len(offers) != 1 || !strings.Contains(offers[0].Line, "device_ref") {
		t.Fatalf("offered %+v, %v; want dictionaries", offers, err)
	}
	if err := Accept(ctx, conn, &s, offers[0]); err != nil {
		t.Fatal(err)
	}
	altered := types()
	if got := read(); got != rows {
		t.Errorf("the rows are\n%s, before\n%s", got, rows)
	}
	for _, wanted := range []bool{true, false} {
		s.LowCardinalityRefs = wanted
		if lines := apply(t, conn, s); len(lines) != 0 {
			t.Errorf("wanted %t: a start says %q", wanted, lines)
		}
		if offers, err = Offers(ctx, conn, s); err != nil || len(offers) != 0 {
			t.Errorf("wanted %t: still offered %+v, %v", wanted, offers, err)
		}
	}
	run(t, conn, "DROP DATABASE golden")
	s.LowCardinalityRefs = true
	apply(t, conn, s)
	insert()
	if got := read(); got != rows {
		t.Errorf("the rows of a new table are\n%s, want\n%s", got, rows)
	}
	if made := types(); made != altered || !strings.Contains(made, typeTextNull) ||
		strings.Contains(made, "\n"+typeRef) {
		t.Errorf("the types of a new table are\n%s, of an altered one\n%s", made, altered)
	}
}

// A table of an earlier version gets the indexes of the largest flows if the operator asks for them, old rows when they
// are rewritten, and a question for the largest then reads less.
func TestOffers_indexes(t *testing.T) {
	conn, ctx := engine(t), context.Background()
	s := goldenSettings()
	apply(t, conn, s)
	run(t, conn, "ALTER TABLE golden.data_flow DROP INDEX bit_count_largest, DROP INDEX packet_count_largest")
	// Values are mixed over the granules, but for one that is far larger.
	run(t, conn, "INSERT INTO golden.data_flow (start_time, src_as_id, bit_count) SELECT yesterday(), number, "+
		"if(number = 70000, 1e9, number % 1000) FROM numbers(100000)")
	offers, err := Offers(ctx, conn, s)
	if err != nil || len(offers) != 1 || !offers[0].Rewrites ||
		!strings.Contains(offers[0].Line, "(by bit_count, packet_count)") {
		t.Fatalf("offered %+v, %v", offers, err)
	}
	if err := Accept(ctx, conn, &s, offers[0]); err != nil {
		t.Fatal(err)
	}
	day := ask(t, conn, "SELECT DISTINCT toYYYYMMDD(start_time) FROM golden.data_flow")
	if err := Rewrite(ctx, conn, &s, "data_flow", day); err != nil {
		t.Fatal(err)
	}
	if offers, err = Offers(ctx, conn, s); err != nil || len(offers) != 0 {
		t.Errorf("still offered %+v, %v", offers, err)
	}
	plan := ask(t, conn, "SELECT * FROM (EXPLAIN indexes = 1 "+
		"SELECT src_as_id FROM golden.data_flow WHERE bit_count >= 2000)")
	if !strings.Contains(plan, "bit_count_largest") || !regexp.MustCompile(`Granules: 1/[1-9]\d`).MatchString(plan) {
		t.Errorf("the index is not used:\n%s", plan)
	}
}
