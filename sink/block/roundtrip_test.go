package block

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/block/blocktest"
	"github.com/metranova/flow-collector/sink/schema"
)

// fullExtJSON is ext of fullRow where every path is typed. Padding and labels keep their order, top first.
const fullExtJSON = `{"bgp_as_path_id":[64500,64501],"bgp_as_path_padding":[1,300],
"bgp_community":["65535:65281","64500:0"],"bgp_ext_community":["RT:64500:7","3:12:8"],` +
	`"bgp_large_community":["4226809946:0:7"],"bgp_local_pref":200,"bgp_med":50,
"bgp_dst_prefix":"2001:db8::/32","bgp_src_prefix":"192.0.2.0/24","bgp_peer_src_as":64510,"bgp_router":"192.0.2.250",
"bgp_source":"bgp","bgp_src_as_path_id":[64510,64511],"bgp_src_as_path_padding":[2,1],
"bgp_src_community":["64510:3","65535:65281"],"bgp_src_ext_community":["SoO:64500:9"],
"bgp_src_large_community":["64510:1:2"],
"bgp_src_local_pref":90,"bgp_src_med":8,"rpki_src":"valid","rpki_dst":"invalid",
"dst_ip_scireg_ref":"12__v1","ipv4_dscp":46,"ipv4_tos":184,"ipv6_flow_label":1048575,
"mpls_bottom_label":24001,"mpls_exp":[5,0,7],"mpls_label":[1048575,0,24001],"mpls_pw":4294967295,
"mpls_top_label_ip":"::ffff:203.0.113.9","mpls_top_label_type":4,"mpls_vpn_rd":"0:64500:7","src_ip_scireg_ref":"11__v1",
"stated_end_ms":1125899906842625,"stated_start_ms":1125899906842624,
"vlan_id":100,"vlan_in_id":101,"vlan_in_inner_id":103,"vlan_out_id":102,"vlan_out_inner_id":104,` +
	`"vrf_name":"customer-7"}`

const emptyExtJSON = `{"bgp_as_path_id":[],"bgp_as_path_padding":[],
"bgp_community":[],"bgp_ext_community":[],"bgp_large_community":[],"bgp_local_pref":null,"bgp_med":null,
"bgp_dst_prefix":null,"bgp_src_prefix":null,"bgp_peer_src_as":null,"bgp_router":null,
"bgp_source":null,"bgp_src_as_path_id":[],"bgp_src_as_path_padding":[],
"bgp_src_community":[],"bgp_src_ext_community":[],"bgp_src_large_community":[],
"bgp_src_local_pref":null,"bgp_src_med":null,"rpki_src":null,"rpki_dst":null,
"dst_ip_scireg_ref":null,"ipv4_dscp":null,"ipv4_tos":null,"ipv6_flow_label":null,
"mpls_bottom_label":null,"mpls_exp":[],"mpls_label":[],"mpls_pw":null,
"mpls_top_label_ip":null,"mpls_top_label_type":null,"mpls_vpn_rd":null,"src_ip_scireg_ref":null,
"vlan_id":null,"vlan_in_id":null,"vlan_in_inner_id":null,"vlan_out_id":null,"vlan_out_inner_id":null}`

// parse reads JSON with its numbers as they stand.
func parse(t *testing.T, text string) map[string]any {
	t.Helper()
	var v map[string]any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// selected returns the rows of a query.
func (e engine) selected(t *testing.T, query string) []map[string]any {
	t.Helper()
	var rows []map[string]any
	for line := range strings.Lines(e.run(t, "JSONEachRow", query)) {
		rows = append(rows, parse(t, line))
	}
	return rows
}

// subsets returns every subset of the flow extensions, every other one with an IP reference extension.
func subsets() (list []Layout) {
	all := allExtensions()[:5] // the groups come with every third subset
	for bits := range 1 << len(all) {
		var extensions, ipRefs []string
		for i, x := range all {
			if bits>>i&1 != 0 {
				extensions = append(extensions, x)
			}
		}
		if bits%3 == 0 {
			extensions = append(extensions, groups...)
		}
		if len(extensions)%2 == 0 {
			ipRefs = []string{"scireg"}
		}
		list = append(list, testLayout(extensions, ipRefs))
	}
	return append(list, testLayout(nil, nil))
}

func (l Layout) name() string {
	return strings.Join(append(slices.Clone(l.Extensions), l.IPRefExtensions...), "+")
}

func TestColumnsAreTheTables(t *testing.T) {
	e := needEngine(t)
	for _, l := range subsets() {
		t.Run(l.name(), func(t *testing.T) {
			table := e.createFlowTable(t, l.Extensions, l.IPRefExtensions)
			var got [][2]string
			for _, c := range New(l).columns {
				// The one cast that costs less than it saves.
				if c.typ == lcNullable && strings.HasSuffix(c.name, "_ref") {
					c.typ = "Nullable(String)"
				}
				got = append(got, [2]string{c.name, c.typ})
			}
			var want [][2]string
			for _, c := range e.selected(t, "SELECT name, type FROM system.columns WHERE table = '"+table+
				"' AND name != 'insert_time' ORDER BY position") {
				want = append(want, [2]string{c["name"].(string), c["type"].(string)})
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("columns of the table (-) and of the block (+), a difference costs a cast:\n%s", diff)
			}
		})
	}
}

func TestRoundTrip(t *testing.T) {
	e := needEngine(t)
	l := testLayout(allExtensions(), []string{"scireg"})
	table := e.createFlowTable(t, l.Extensions, l.IPRefExtensions)
	// The order of the rows puts missing values before, between and after the others.
	rows := []enrich.Row{blocktest.EmptyRow(), blocktest.FullRow(), blocktest.EmptyRow(), blocktest.EmptyRow(),
		blocktest.FullRow(), blocktest.EmptyRow()}
	e.insert(t, table, New(l).Columns(), encodeRows(l, rows))
	want := map[string]int{"": 0}
	for _, r := range rows {
		text, ext := blocktest.EmptyJSON, emptyExtJSON
		if r.HasPeer {
			text, ext = blocktest.FullJSON, fullExtJSON
		}
		m := parse(t, text)
		m["ext"] = parse(t, ext)
		want[canonical(t, m)]++
	}
	got := map[string]int{"": 0}
	for _, m := range e.selected(t, "SELECT * EXCEPT insert_time FROM "+table) {
		got[canonical(t, m)]++
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows written (-) and read (+):\n%s", diff)
	}
	if n := e.run(t, "TSV", "SELECT count() FROM "+table+" WHERE insert_time > now64() - INTERVAL 1 HOUR"); n != "6\n" {
		t.Errorf("%s rows have an insert time, want 6", n)
	}
}

// canonical is v as JSON with sorted keys.
func canonical(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestExtOfEverySubset compares with what the engine makes of the same ext as JSON text, which is how the reference
// sends it: typed paths and others must read the same, whichever they are.
func TestExtOfEverySubset(t *testing.T) {
	e := needEngine(t)
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, l := range subsets() {
		t.Run(l.name(), func(t *testing.T) {
			rows := []enrich.Row{blocktest.EmptyRow(), blocktest.FullRow(), blocktest.EmptyRow()}
			for range 100 {
				rows = append(rows, randomExt(rnd))
			}
			for i := range rows { // the key of the comparison
				rows[i].Bits = uint64(i)
			}
			table := e.createFlowTable(t, l.Extensions, l.IPRefExtensions)
			e.insert(t, table, New(l).Columns(), encodeRows(l, rows))
			const query = "SELECT bit_count, toJSONString(ext) AS text, JSONAllPathsWithTypes(ext) AS types FROM "
			got := e.selected(t, query+table+" ORDER BY bit_count")
			e.run(t, "Null", "TRUNCATE TABLE "+table)
			e.insert(t, table, New(l).Columns(), encodeWithText(t, l, rows))
			want := e.selected(t, query+table+" ORDER BY bit_count")
			if len(got) != len(rows) {
				t.Errorf("%d rows, want %d", len(got), len(rows))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("ext as JSON text (-) and as native paths (+):\n%s", diff)
			}

			// The same after a merge of both, as in a table that the reference has written to.
			e.insert(t, table, New(l).Columns(), encodeRows(l, rows))
			e.run(t, "Null", "OPTIMIZE TABLE "+table+" FINAL")
			same := e.run(t, "TSV", "SELECT count() FROM (SELECT toJSONString(any(ext)) AS text FROM "+table+
				" GROUP BY bit_count HAVING count() = 2 AND uniqExact(toJSONString(ext)) = 1)")
			if want := fmt.Sprintln(len(rows)); same != want {
				t.Errorf("rows that agree after a merge: %q, want %q", same, want)
			}
		})
	}
}

// randomExt is fullRow with some of the fields that give keys of ext.
func randomExt(rnd *rand.Rand) enrich.Row {
	r := blocktest.FullRow()
	f := r.Flow
	f.Has &= flow.Fields(rnd.Uint64()) & flow.Fields(rnd.Uint64()|rnd.Uint64())
	f.ToS, f.VLAN, f.MED = uint8(rnd.Uint32()), uint16(rnd.Uint32()), rnd.Uint32()
	if !f.Sent(flow.ASPath) {
		r.ASPathID, r.ASPathPadding = nil, nil
	}
	if rnd.IntN(2) == 0 {
		f.MPLSTopLabelAddr = r.Flow.DstAddr // IPv6
	}
	f.Communities = nil
	if f.Sent(flow.Communities) {
		for range rnd.IntN(5) {
			f.Communities = append(f.Communities, rnd.Uint32N(3)<<16|rnd.Uint32N(3))
		}
	}
	f.MPLSCount, r.MPLSBottomLabel = 0, 0
	r.MPLSLabel, r.MPLSExp = nil, nil
	if f.Sent(flow.MPLS) {
		f.MPLSCount = uint8(rnd.IntN(len(f.MPLS) + 1))
		for i := range f.MPLS[:f.MPLSCount] {
			f.MPLS[i] = rnd.Uint32() >> 8
			r.MPLSBottomLabel = f.MPLS[i] >> 4
			r.MPLSLabel, r.MPLSExp = append(r.MPLSLabel, f.MPLS[i]>>4), append(r.MPLSExp, uint8(f.MPLS[i]>>1&7))
		}
	}
	if !f.Sent(flow.MPLSRD) {
		r.MPLSRD = ""
	}
	for _, refs := range [][]string{r.SrcExtRef, r.DstExtRef} {
		if rnd.IntN(2) == 0 {
			refs[0] = ""
		}
	}
	return r
}

// TestTableWithOtherPaths inserts into tables that were made for other extensions: the engine casts, nothing is lost.
func TestTableWithOtherPaths(t *testing.T) {
	e := needEngine(t)
	for _, c := range []struct {
		name         string
		table, block []string
	}{
		{"table has fewer", nil, allExtensions()},
		{"table has more", allExtensions(), nil},
		{"table has others", []string{"bgp", "vlan"}, []string{"mpls", "vlan"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := testLayout(c.block, []string{"scireg"})
			table := e.createFlowTable(t, c.table, []string{"scireg"})
			e.insert(t, table, New(l).Columns(), encodeRows(l, []enrich.Row{blocktest.FullRow()}))
			row := e.selected(t, "SELECT ext FROM "+table)[0]["ext"].(map[string]any)
			want := parse(t, fullExtJSON)
			for name := range want {
				if v, ok := row[name].(string); ok && name == "mpls_top_label_ip" {
					row[name] = "::ffff:" + strings.TrimPrefix(v, "::ffff:") // a string keeps the form it came in
				}
			}
			for _, m := range []map[string]any{row, want} { // an empty array may be an absent path
				maps.DeleteFunc(m, func(_ string, v any) bool { a, ok := v.([]any); return ok && len(a) == 0 })
			}
			if diff := cmp.Diff(want, row); diff != "" {
				t.Errorf("ext written (-) and read (+):\n%s", diff)
			}
		})
	}
}

func TestDictionaryWidths(t *testing.T) {
	e := needEngine(t)
	l := testLayout([]string{"bgp", "mpls"}, nil)
	for _, n := range []int{1, 255, 256, 257, 65535, 65536, 65537} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			table := e.createFlowTable(t, l.Extensions, nil)
			b := New(l)
			for i := range n {
				text := strconv.Itoa(i)
				b.Append(&enrich.Row{
					Flow:     &flow.Record{Has: flow.Communities, Communities: []uint32{uint32(i), uint32(i) + 1<<30}},
					DeviceID: text, In: enrich.Interface{ID: text},
					PolicyScope: enrich.Scopes{Listed: []string{text, text, "x" + text}}, MPLSRD: text,
					Bits: uint64(i), StartMs: blocktest.DayStart,
				})
			}
			e.insert(t, table, New(l).Columns(), b.Encode(nil))
			query := fmt.Sprintf(`SELECT count() AS rows, countIf(device_id = toString(bit_count)
				AND in_interface_id = toString(bit_count) AND out_interface_id IS NULL
				AND policy_scope = [toString(bit_count), toString(bit_count), 'x' || toString(bit_count)]
				AND ext.mpls_vpn_rd = toString(bit_count)
				AND ext.bgp_community = [format('{}:{}', toString(intDiv(bit_count, 65536)), toString(bit_count %% `+
				`65536)),
					format('{}:{}', toString(intDiv(bit_count, 65536) + 16384), toString(bit_count %% 65536))]) AS `+
				`right,
				uniqExact(bit_count) AS distinct FROM %s`, table)
			if got, want := e.run(t, "TSV", query), fmt.Sprintf("%d\t%d\t%d\n", n, n, n); got != want {
				t.Errorf("rows, right ones, distinct ones: %q, want %q", got, want)
			}
		})
	}
}

// TestScopeListedAndOfAS has the scope of an AS as a listed one in one row, and by its number in the next: two keys of
// the block's dictionary have one text.
func TestScopeListedAndOfAS(t *testing.T) {
	e := needEngine(t)
	table := e.createFlowTable(t, nil, nil)
	b := New(testLayout(nil, nil))
	for i, scopes := range []enrich.Scopes{
		{Listed: []string{"as:64500", "site"}},
		{AS: [2]uint32{0, 64500}},
		{Listed: []string{"site"}, AS: [2]uint32{4294967295, 64500}, Community: "comm:lhcone"},
		{},
		{AS: [2]uint32{64500}},
	} {
		b.Append(&enrich.Row{Flow: &flow.Record{}, StartMs: blocktest.DayStart, Bits: uint64(i), PolicyScope: scopes})
	}
	e.insert(t, table, b.Columns(), b.Encode(nil))
	got := e.run(t, "TSV", "SELECT policy_scope, has(policy_scope, 'as:64500') FROM "+table+" ORDER BY bit_count")
	want := "['as:64500','site']\t1\n['as:64500']\t1\n" +
		"['site','as:4294967295','as:64500','comm:lhcone']\t1\n[]\t0\n['as:64500']\t1\n"
	if got != want {
		t.Errorf("scopes %q, want %q", got, want)
	}
	got = e.run(t, "TSV", "SELECT s, count() FROM "+table+" ARRAY JOIN policy_scope AS s GROUP BY s ORDER BY s")
	if want := "as:4294967295\t1\nas:64500\t4\ncomm:lhcone\t1\nsite\t2\n"; got != want {
		t.Errorf("rows by scope %q, want %q", got, want)
	}
}

func TestLongStrings(t *testing.T) {
	e := needEngine(t)
	l := testLayout(nil, nil)
	table := e.createFlowTable(t, nil, nil)
	b := New(l)
	for _, n := range []int{127, 128, 16383, 16384} {
		b.Append(&enrich.Row{
			Flow: &flow.Record{}, DeviceID: strings.Repeat("d", n), DeviceRef: strings.Repeat("r", n),
			MPLSRD: strings.Repeat("m", n), StartMs: blocktest.DayStart, Bits: uint64(n),
		})
	}
	e.insert(t, table, New(l).Columns(), b.Encode(nil))
	got := e.run(t, "TSV", "SELECT length(device_id), length(device_ref), length(ext.mpls_vpn_rd::String) FROM "+table+
		" ORDER BY bit_count")
	if want := "127\t127\t127\n128\t128\t128\n16383\t16383\t16383\n16384\t16384\t16384\n"; got != want {
		t.Errorf("lengths %q, want %q", got, want)
	}
}

// TestEveryTypedPathHasAColumn needs no engine: a path that the schema learns must be taught to the block.
func TestEveryTypedPathHasAColumn(t *testing.T) {
	x := newExt(&Layout{Extensions: allExtensions(), IPRefExtensions: []string{"scireg", "other"}})
	if want := len(schema.FlowExtPaths(allExtensions(), []string{"scireg", "other"})); len(x.typed) != want {
		t.Errorf("%d typed paths, want %d", len(x.typed), want)
	}
	for i, p := range x.typed {
		if p.column == nil {
			t.Errorf("%s %s has no column", p.name, p.typ)
		}
		if i > 0 && x.typed[i-1].name >= p.name {
			t.Errorf("%s stands after %s", p.name, x.typed[i-1].name)
		}
	}
}
