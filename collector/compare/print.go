package compare

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/metranova/flow-collector/collector/commandline"
)

// Report is what a comparison found, for printing.
type Report struct {
	Theirs, Ours *Account
	From, To     time.Time
	Differences  []Difference
}

// Unexplained counts the differences without a known cause.
func (r *Report) Unexplained() (n int) {
	for _, d := range r.Differences {
		if !d.Known {
			n++
		}
	}
	return n
}

// Print writes the report for people, with at most this many differences; 0: all.
func (r *Report) Print(out io.Writer, most int) {
	fmt.Fprintf(out, "%s to %s\n\n", r.From.Format(time.DateTime), r.To.Format(time.DateTime))
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	devices := "exporters"
	if r.Theirs.By == BySource {
		devices = "sources"
	}
	fmt.Fprintf(table, "\tflows\tpackets\tbytes\t%s\t\n", devices)
	for _, a := range []*Account{r.Theirs, r.Ours} {
		t, devices := within(a, r.From, r.To)
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t\n", a.Name, t.Flows, t.Packets, t.Bits/8, devices)
	}
	table.Flush()
	for _, reason := range slices.Sorted(maps.Keys(r.Theirs.Left)) {
		fmt.Fprintf(out, "left out: %s %s\n", commandline.Count(r.Theirs.Left[reason], "message"), reason)
	}
	fmt.Fprintln(out)
	if len(r.Differences) == 0 {
		fmt.Fprintln(out, "no difference")
		return
	}
	r.printReasons(out)
	r.printDifferences(out, most)
}

// within returns the sum of an account's cells in a period, and the number of its devices.
func within(a *Account, from, to time.Time) (t Sums, devices int) {
	seen := map[string]bool{}
	for k, s := range a.Cells {
		if k.Minute >= from.Unix() && k.Minute < to.Unix() {
			t.add(s)
			seen[k.Device] = true
		}
	}
	return t, len(seen)
}

// printReasons writes how often each cause occurs, unexplained ones first.
func (r *Report) printReasons(out io.Writer) {
	type tally struct {
		reason string
		known  bool
		count  int
	}
	byReason := map[string]*tally{}
	for _, d := range r.Differences {
		t := byReason[d.Reason]
		if t == nil {
			t = &tally{reason: d.Reason, known: d.Known}
			byReason[d.Reason] = t
		}
		t.count++
	}
	all := slices.SortedFunc(maps.Values(byReason), func(a, b *tally) int {
		if a.known != b.known {
			if b.known {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.reason, b.reason))
	})
	for _, t := range all {
		mark := "look at this"
		if t.known {
			mark = "expected"
		}
		fmt.Fprintf(out, "%-12s  %d × %s\n", mark, t.count, t.reason)
	}
	fmt.Fprintln(out)
}

// printDifferences writes a line for each difference, the unexplained ones first.
func (r *Report) printDifferences(out io.Writer, most int) {
	list := slices.Clone(r.Differences)
	slices.SortStableFunc(list, func(a, b Difference) int {
		switch {
		case a.Known == b.Known:
			return 0
		case b.Known:
			return -1
		}
		return 1
	})
	shown := list
	if most > 0 && len(list) > most {
		shown = list[:most]
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "from\tminutes\texporter\tin\tout\tpackets\there\tbytes\there\treason")
	for _, d := range shown {
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\t%d\t%+d\t%d\t%+d\t%s\n",
			time.Unix(d.Minute, 0).UTC().Format("01-02 15:04"), d.Minutes,
			d.Device, cmp.Or(d.In, "-"), cmp.Or(d.Out, "-"), d.Theirs.Packets, int64(d.Ours.Packets-d.Theirs.Packets),
			d.Theirs.Bits/8, int64(d.Ours.Bits/8)-int64(d.Theirs.Bits/8), d.Reason)
	}
	table.Flush()
	if more := len(list) - len(shown); more > 0 {
		fmt.Fprintf(out, "and %d more\n", more)
	}
}

// PrintJSON writes a line of JSON for each difference.
func (r *Report) PrintJSON(out io.Writer) error {
	lines := json.NewEncoder(out)
	type sums struct {
		Flows   uint64 `json:"flows"`
		Packets uint64 `json:"packets"`
		Bits    uint64 `json:"bits"`
	}
	for _, d := range r.Differences {
		err := lines.Encode(struct {
			From     string `json:"from"`
			Minutes  int    `json:"minutes"`
			Exporter string `json:"exporter"`
			In       string `json:"in_interface_id"`
			Out      string `json:"out_interface_id"`
			Theirs   sums   `json:"theirs"`
			Ours     sums   `json:"ours"`
			Reason   string `json:"reason"`
			Expected bool   `json:"expected"`
		}{
			time.Unix(d.Minute, 0).UTC().Format(time.RFC3339), d.Minutes, d.Device, d.In, d.Out,
			sums{d.Theirs.Flows, d.Theirs.Packets, d.Theirs.Bits}, sums{d.Ours.Flows, d.Ours.Packets, d.Ours.Bits},
			d.Reason, d.Known,
		})
		if err != nil {
			return err
		}
	}
	return nil
}
