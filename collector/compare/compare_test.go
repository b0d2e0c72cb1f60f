package compare

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/enrich"
)

const start = 1_700_000_040 // a full minute

// cell is a line of an account in a test.
type cell struct {
	minute          int
	device, in, out string
	flows           uint64
	packets         uint64
}

func account(whole bool, cells ...cell) *Account {
	a := NewAccount("pmacct")
	a.Whole = whole
	for _, c := range cells {
		a.Add(Key{Minute: start + int64(c.minute)*minute, Device: c.device, In: c.in, Out: c.out},
			Sums{Flows: c.flows, Packets: c.packets, Bits: 800 * c.packets})
	}
	return a
}

func TestCompare_reasons(t *testing.T) {
	five := func(packets ...uint64) []cell {
		var all []cell
		for m, p := range packets {
			if p > 0 {
				all = append(all, cell{m, "r1", "r1::1", "r1::2", 1, p})
			}
		}
		return all
	}
	formats := account(true, cell{1, "r1", "", "", 1, 10}, cell{2, "r1", "a", "b", 1, 7})
	formats.Formats["r1"] = true
	for _, test := range []struct {
		name         string
		theirs, ours *Account
		partial      bool
		want         []string // minutes since the start, how many, and how the reason begins
	}{
		{"nothing", account(true, five(5, 6, 7)...), account(false, five(5, 6, 7)...), false, nil},
		{
			"merged flows are the same", account(true, cell{0, "r1", "", "", 1, 9}),
			account(false, cell{0, "r1", "", "", 3, 9}), false, nil,
		},
		{
			"a flow at the turn of a minute", account(true, five(5, 9, 7)...), account(false, five(5, 6, 10)...), false,
			[]string{"1 2 expected flows at the turn of a minute: pmacct cuts NetFlow times"},
		},
		{
			"at the turn to a minute outside of the period", account(true, five(5, 6, 9)...),
			account(false, five(5, 6, 7, 2)...), false,
			[]string{"2 2 expected flows at the turn of a minute"},
		},
		{
			"what lies outside is nobody's business", account(true, five(5, 6, 7)...),
			account(false, five(5, 6, 7, 2)...), false, nil,
		},
		{
			"other times", account(false, five(5, 0, 0)...), account(false, five(0, 0, 5)...), false,
			[]string{"0 2 expected the same flows at other times: another time of arrival"},
		},
		{
			"only they have the exporter", account(true, cell{1, "r1", "", "", 1, 3}), account(false), false,
			[]string{"1 1 look only pmacct has it"},
		},
		{
			"another name", account(true, cell{1, "127.0.0.1", "", "", 1, 3}, cell{2, "127.0.0.1", "", "", 1, 4}),
			account(false, cell{1, "core1", "a", "b", 2, 7}), false,
			[]string{"1 3 expected the same traffic under another name: 127.0.0.1 there, core1 here; --device " +
				"127.0.0.1=core1"},
		},
		{
			"one name there for two here", account(true, cell{1, "127.0.0.1", "", "", 1, 7}),
			account(false, cell{1, "r1", "", "", 1, 3}, cell{1, "r2", "", "", 1, 4}), false,
			[]string{"1 3 expected the same traffic under another name: 127.0.0.1 there, r1, r2 here"},
		},
		{
			"only we have the exporter", account(true),
			account(false, cell{1, "r1", "", "", 1, 3}, cell{2, "r1", "", "", 1, 3}), false,
			[]string{"1 2 look only this collector has it"},
		},
		{
			"format bits", formats, account(false, cell{1, "r1", "a", "", 1, 10}, cell{2, "r1", "a", "b", 1, 7}), false,
			[]string{"1 1 expected the same traffic on other interfaces: pmacct leaves sFlow's format bits"},
		},
		{
			"another interface", account(true, cell{1, "r1", "x", "", 1, 10}),
			account(false, cell{1, "r1", "y", "", 1, 10}), false,
			[]string{"1 1 look the same traffic on other interfaces: meta_interface"},
		},
		{
			"sampling", account(true, five(1, 2, 3)...), account(false, five(100, 200, 300)...), false,
			[]string{
				"0 1 look sampling: this collector scales 100 times",
				"1 1 look sampling: this collector scales 100 times",
				"2 1 look sampling: this collector scales 100 times",
			},
		},
		{
			"sampling the other way", account(true, five(40)...), account(false, five(4)...), false,
			[]string{"0 1 look sampling: the other side scales 10 times"},
		},
		{
			"they have less", account(true, five(5, 3, 7)...), account(false, five(5, 6, 7)...), false,
			[]string{"1 1 expected more here"},
		},
		{
			"they have no such interfaces", account(true, five(5)...),
			account(false, append(five(5), cell{2, "r1", "q", "", 1, 1})...), false,
			[]string{"2 1 expected pmacct made no message"},
		},
		{
			"we have less", account(true, five(5, 6, 7)...), account(false, five(5, 3, 7)...), false,
			[]string{"1 1 look less here"},
		},
		{
			"the first minute in part", account(true, five(2, 6, 7)...), account(false, five(5, 6, 7)...), true,
			[]string{"0 1 look at the edge of the period"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			from := time.Unix(start, 0)
			got := Compare(test.theirs, test.ours, Options{From: from, To: from.Add(3 * time.Minute),
				Partial: test.partial})
			if len(got) != len(test.want) {
				t.Fatalf("%d differences, want %d: %+v", len(got), len(test.want), got)
			}
			for i, d := range got {
				mark := "look "
				if d.Known {
					mark = "expected "
				}
				line := strings.Join([]string{
					string(rune('0' + (d.Minute-start)/minute)), string(rune('0' + d.Minutes)), mark + d.Reason,
				}, " ")
				if !strings.HasPrefix(line, test.want[i]) {
					t.Errorf("got %q, want %q", line, test.want[i])
				}
			}
		})
	}
}

func TestCompare_otherBytes(t *testing.T) {
	theirs, ours := account(true, cell{0, "r1", "", "", 1, 4}), account(false)
	ours.Add(Key{Minute: start, Device: "r1"}, Sums{Flows: 1, Packets: 4, Bits: 3000})
	from := time.Unix(start, 0)
	got := Compare(theirs, ours, Options{From: from, To: from.Add(time.Minute)})
	if len(got) != 1 || !strings.HasPrefix(got[0].Reason, "other bytes in the same packets") {
		t.Errorf("%+v", got)
	}
}

func TestAddMessages(t *testing.T) {
	b := enrich.NewBuilder()
	b.AddDevice(enrich.Device{ID: "r1", Ref: "r1__v1", Loopbacks: []netip.Addr{netip.MustParseAddr("192.0.2.1")}})
	b.AddInterface(enrich.MetaInterface{ID: "r1::7", Ref: "r1::7__v1", DeviceID: "r1", FlowIndex: 7,
		HasFlowIndex: true})
	snapshot, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	const flow = `"ip_src":"198.51.100.1","ip_dst":"198.51.100.2","packets":2,"bytes":100`
	in := strings.Join([]string{
		`{"peer_ip_src":"::ffff:192.0.2.1",` + flow +
			`,"iface_in":7,"iface_out":8,"timestamp_start":"1700000041.000000","writer_id":"nfacctd"}`,
		`{"peer_ip_src":"192.0.2.9",` + flow +
			`,"iface_in":7,"timestamp_arrival":"1700000041.250000","writer_id":"sfacctd"}`,
		`{"peer_ip_src":"192.0.2.9",` + flow +
			`,"iface_in":2147483650,"timestamp_arrival":"1700000041.250000","writer_id":"sfacctd"}`,
		`{"peer_ip_src":"192.0.2.9",` + flow + `}`,
		`{"peer_ip_src":"192.0.2.9","packets":2}`,
		`[1]`,
	}, "\n")
	a := NewAccount("pmacct")
	if err := a.AddMessages(strings.NewReader(in), snapshot); err != nil {
		t.Fatal(err)
	}
	want := map[Key]Sums{
		{start, "r1", "r1::7", ""}:   {1, 800, 2},
		{start, "192.0.2.9", "", ""}: {2, 1600, 4},
	}
	if diff := cmp.Diff(want, a.Cells); diff != "" {
		t.Error(diff)
	}
	left := map[string]uint64{"without a time": 1, "without addresses": 1, "not a message of pmacct": 1}
	if diff := cmp.Diff(left, a.Left); diff != "" {
		t.Error(diff)
	}
	if a.Whole || !a.Formats["192.0.2.9"] || a.Formats["r1"] {
		t.Errorf("whole %v, formats %v", a.Whole, a.Formats)
	}
	if err := a.AddMessages(strings.NewReader("{}\nnonsense"), snapshot); err == nil ||
		!strings.Contains(err.Error(), "message 2") {
		t.Errorf("nonsense: %v", err)
	}
}

func TestPrint(t *testing.T) {
	from := time.Unix(start, 0).UTC()
	r := Report{
		Theirs: account(true, cell{0, "r1", "r1::1", "", 1, 4}, cell{1, "r1", "r1::1", "", 1, 3}), From: from,
		To:   from.Add(2 * time.Minute),
		Ours: account(false, cell{0, "r1", "r1::1", "", 1, 1}, cell{1, "r1", "r1::1", "", 1, 9}),
	}
	r.Ours.Name = "this collector"
	r.Differences = Compare(r.Theirs, r.Ours, Options{From: r.From, To: r.To})
	var out bytes.Buffer
	r.Print(&out, 1)
	for _, want := range []string{"pmacct", "this collector", "look at this  1 × less here",
		"expected      1 × more here", "r1::1", "and 1 more"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("without %q:\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := r.PrintJSON(&out); err != nil || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// Sums by total and by exporter have no other keys, and exporters are called as they are here.
func TestRegroup(t *testing.T) {
	a := account(true, cell{0, "127.0.0.1", "a", "b", 1, 3}, cell{0, "127.0.0.1", "c", "d", 1, 4},
		cell{0, "r2", "", "", 1, 5})
	a.Regroup(ByExporter, map[string]string{"127.0.0.1": "r1"})
	want := map[Key]Sums{{Minute: start, Device: "r1"}: {2, 5600, 7}, {Minute: start, Device: "r2"}: {1, 4000, 5}}
	if diff := cmp.Diff(want, a.Cells); diff != "" {
		t.Errorf("by exporter (-want +got):\n%s", diff)
	}
	a.Regroup(ByTotal, nil)
	if diff := cmp.Diff(map[Key]Sums{{Minute: start, Device: "all"}: {3, 9600, 12}}, a.Cells); diff != "" {
		t.Errorf("by total (-want +got):\n%s", diff)
	}
}
