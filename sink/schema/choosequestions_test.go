package schema

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// questionConditions are conditions of all kinds on what rollups have, and on what only rows have.
func questionConditions() []string {
	return []string{
		"", "device_id = 'r1'", "NOT device_id = 'r1'", "device_id != 'src_port'", "src_ip_ref IS NULL",
		"src_ip_ref = 'net1' OR src_ip_ref = 'net2'", "in_interface_id = ''", "in_interface_id IN ('if1', 'if2')",
		"ifNull(in_interface_id, '') != 'if1'", "in_interface_ref IS NULL", "edge", "NOT edge", "in_interface_edge",
		"startsWith(ifNull(out_interface_ref, ''), 'if9')", "in_interface_edge OR out_interface_edge",
		"peer_as_id IS NULL", "peer_as_id = 2", "peer_ip = toIPv6('2001:db8::1')",
		"src_as_id BETWEEN 2 AND 4 AND dst_as_id != 5", "src_country = ''", "dst_country IN ('C1', 'C2')",
		"application_port > 0 AND protocol = 'udp'", "has(policy_scope, 'as:3')", "has(named_scope, 'comm:1')",
		"ext.src_ip_scireg_ref = 's1'", "has(ext.bgp_as_path_id, 2)", "dst_validation = 'invalid'",
		"dst_validation != 'valid' AND invalid_prefix = ''", "invalid_as_id = 3", "route_router = 'r0'",
		"ext.rpki_dst = 'valid'", "ext.bgp_source = 'bgp'", "ext.bgp_community[1] = '1:2'", "bit_count > 5000000",
		"toHour(start_time) = 3", "start_time >= toDateTime('2026-02-01 07:13:11', 'UTC')", "`src_as_id` = 3",
		`"src_as_id" = 3`, "data_flow.src_as_id = 3",
		"device_id LIKE 'r%' /* src_port */", "src_as_id = 3 -- it's",
		"sampling_rate IS NULL", "flow_type = 'netflow'",
	}
}

// randomQuestion is by dimensions of one rollup for the most part, over a range in days from first.
func randomQuestion(random *rand.Rand, first time.Time) Question {
	var q Question
	sets := RollupSets()
	set := sets[random.IntN(len(sets))].Dimensions
	for range random.IntN(3) {
		of := set
		if random.IntN(5) == 0 {
			of = []string{"src_port", "policy_scope", "dst_as_id", "device_id"}
		}
		if d := of[random.IntN(len(of))]; !slices.Contains(q.Dimensions, d) {
			q.Dimensions = append(q.Dimensions, d)
		}
	}
	unit := []time.Duration{time.Second, time.Minute, time.Hour, 24 * time.Hour}[random.IntN(4)]
	q.From = first.Add(-time.Duration(random.IntN(100)) * time.Hour).Truncate(unit)
	q.To = q.From.Add(time.Duration(1+random.IntN(200)) * unit)
	if random.IntN(2) == 0 {
		q.From = first.Truncate(24 * time.Hour)
		q.To = q.From.Add(5 * 24 * time.Hour)
	}
	steps := []time.Duration{0, time.Minute, 7 * time.Minute, 90 * time.Minute, time.Hour, 6 * time.Hour,
		24 * time.Hour, 7 * 24 * time.Hour}
	q.Step = steps[random.IntN(len(steps))]
	return q
}

// Random questions have the same answer from the table that the planner chooses and from data_flow, over the range that
// the planner says.
func TestChoose_likeRows(t *testing.T) {
	conn := engine(t)
	s := rollupSettings()
	apply(t, conn, s)
	for i, token := range []string{"a", "b", "c"} {
		if err := insertFlowsOf(conn, token, 2000*i, 2000, 4*24*time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	sources, err := ReadSources(t.Context(), conn, s)
	if err != nil {
		t.Fatal(err)
	}
	first := time.Date(2026, 1, 30, 22, 0, 0, 0, time.UTC)
	now := first.Add(5 * 24 * time.Hour)
	rollups := 0
	conditions := questionConditions()
	for i := range 200 {
		random := rand.New(rand.NewPCG(1, uint64(i)))
		q := randomQuestion(random, first)
		condition := conditions[i%len(conditions)]
		if random.IntN(3) == 0 {
			condition = ""
		}
		if other := conditions[random.IntN(len(conditions))]; condition != "" && other != "" && random.IntN(3) == 0 {
			condition = "(" + condition + "\n) AND NOT (" + other + "\n)"
		}
		q.Filters = s.FiltersOf(condition)
		c := Choose(q, sources, now)
		if c.Table == "" { // a path without a type
			continue
		}
		if c.Step > 0 {
			rollups++
		}
		q.From, q.To = c.From, c.To
		rows := Choose(q, sources[:1], now)
		sums := func(c *Choice) string {
			return "(SELECT count() || ' rows ' || sum(flows) || ' ' || sum(bits) || ' ' || sum(packets) || ' ' || " +
				"groupBitXor(cityHash64(*)) FROM (" + c.SQL(&s, q, condition, 0) + "))"
		}
		got := strings.Split(ask(t, conn, fmt.Sprintf("SELECT %s, %s", sums(&c), sums(&rows))), "\t")
		if got[0] != got[1] {
			t.Errorf("%v where %q, step %s, from %s to %s: %s\n%s, data_flow has\n%s", q.Dimensions, condition, q.Step,
				q.From, q.To, c.Why, got[0], got[1])
		}
	}
	if rollups < 50 {
		t.Errorf("%d of the questions were answered by rollups: too few", rollups)
	}
}
