package compare

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Difference is a cell, or a run of cells, in which the accounts differ.
type Difference struct {
	Key
	Minutes      int // the number of consecutive minutes that it covers, from Minute on
	Theirs, Ours Sums
	Reason       string
	// Known marks intended differences, where this collector is more exact.
	Known bool
}

// Options configure a comparison.
type Options struct {
	// From and To are the period that both accounts should cover. Cells outside only help to explain those within.
	From, To time.Time
	// Partial means that the first and last minute may be incomplete on either side.
	Partial bool
}

// Compare returns the differences sorted by device, minute and interfaces.
func Compare(theirs, ours *Account, o Options) []Difference {
	c := comparison{theirs: theirs, ours: ours, Options: o, cells: map[string]map[pair][]Difference{}}
	c.collect()
	c.otherNames()
	for device := range c.cells {
		c.device(device)
	}
	slices.SortFunc(c.found, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Device, b.Device), cmp.Compare(a.Minute, b.Minute), cmp.Compare(a.In, b.In),
			cmp.Compare(a.Out, b.Out))
	})
	return c.found
}

// pair is the two interfaces of a cell.
type pair struct{ in, out string }

type comparison struct {
	Options
	theirs, ours *Account
	cells        map[string]map[pair][]Difference // those that differ, by device and interfaces, sorted by time
	found        []Difference
}

// collect notes the cells that differ.
func (c *comparison) collect() {
	note := func(k Key) {
		theirs, ours := c.theirs.Cells[k], c.ours.Cells[k]
		if theirs.same(ours) {
			return
		}
		if c.cells[k.Device] == nil {
			c.cells[k.Device] = map[pair][]Difference{}
		}
		p := pair{k.In, k.Out}
		c.cells[k.Device][p] = append(c.cells[k.Device][p], Difference{Key: k, Minutes: 1, Theirs: theirs, Ours: ours})
	}
	for k := range c.theirs.Cells {
		note(k)
	}
	for k := range c.ours.Cells {
		if _, both := c.theirs.Cells[k]; !both {
			note(k)
		}
	}
	for _, pairs := range c.cells {
		for _, list := range pairs {
			slices.SortFunc(list, func(a, b Difference) int { return cmp.Compare(a.Minute, b.Minute) })
		}
	}
}

// device explains the differences of one exporter: first those that cancel out, then the rest.
func (c *comparison) device(device string) {
	theirs, ours := c.total(c.theirs, device), c.total(c.ours, device)
	switch {
	case ours == Sums{}:
		c.whole(device, theirs, ours, "only "+c.theirs.Name+
			" has it: the exporter does not send to this collector, or is named differently")
		return
	case theirs == Sums{}:
		c.whole(device, theirs, ours, "only this collector has it: the exporter does not send to "+c.theirs.Name+
			", or is named differently")
		return
	}
	for p, list := range c.cells[device] {
		c.cells[device][p] = c.shifted(list)
	}
	c.renamed(device)
	for _, list := range c.cells[device] {
		for _, d := range list {
			if c.within(d.Minute) {
				d.Reason, d.Known = c.reason(d, theirs, ours)
				c.found = append(c.found, d)
			}
		}
	}
}

// otherNames takes out exporters that have one name there and another here, with the same traffic: pmacct sees the
// address of this host where datagrams are forwarded without forward.keep_source.
func (c *comparison) otherNames() {
	var theirs, ours []string
	for _, device := range slices.Sorted(maps.Keys(c.cells)) {
		switch t, o := c.total(c.theirs, device), c.total(c.ours, device); {
		case o == Sums{} && t != Sums{}:
			theirs = append(theirs, device)
		case t == Sums{} && o != Sums{}:
			ours = append(ours, device)
		}
	}
	for _, there := range theirs {
		i := slices.IndexFunc(ours, func(here string) bool {
			return c.total(c.theirs, there).same(c.total(c.ours, here))
		})
		if i >= 0 {
			c.named([]string{there}, []string{ours[i]})
			ours = slices.Delete(ours, i, i+1)
		}
	}
	// Several exporters may have the address of this host there.
	theirs = slices.DeleteFunc(theirs, func(d string) bool { return c.cells[d] == nil })
	if len(theirs) == 1 && len(ours) > 1 && c.sum(c.theirs, theirs).same(c.sum(c.ours, ours)) {
		c.named(theirs, ours)
	}
}

func (c *comparison) sum(a *Account, devices []string) (t Sums) {
	for _, device := range devices {
		t.add(c.total(a, device))
	}
	return t
}

// named notes that devices of one side are those of the other.
func (c *comparison) named(theirs, ours []string) {
	d := Difference{Key: Key{Device: theirs[0]}, Theirs: c.sum(c.theirs, theirs), Ours: c.sum(c.ours, ours),
		Known: true,
		Reason: fmt.Sprintf("the same traffic under another name: %s there, %s here; --device %s=%s compares them, "+
			"forward.keep_source keeps the address", strings.Join(theirs, ", "), strings.Join(ours, ", "), theirs[0],
			ours[0])}
	for _, device := range append(slices.Clone(theirs), ours...) {
		for _, list := range c.cells[device] {
			for _, cell := range list {
				if c.within(cell.Minute) && (d.Minute == 0 || cell.Minute < d.Minute) {
					d.Minute = cell.Minute
				}
				d.Minutes++
			}
		}
		delete(c.cells, device)
	}
	c.found = append(c.found, d)
}

// total adds up a device within the period.
func (c *comparison) total(a *Account, device string) (t Sums) {
	for k, s := range a.Cells {
		if k.Device == device && c.within(k.Minute) {
			t.add(s)
		}
	}
	return t
}

func (c *comparison) within(minute int64) bool {
	return minute >= c.From.Unix() && minute < c.To.Unix()
}

// whole returns the single difference of a device that only one side has.
func (c *comparison) whole(device string, theirs, ours Sums, reason string) {
	if (theirs == Sums{} && ours == Sums{}) {
		return // all of it is outside the period
	}
	d := Difference{Key: Key{Device: device}, Theirs: theirs, Ours: ours, Reason: reason}
	for _, list := range c.cells[device] {
		for _, cell := range list {
			if !c.within(cell.Minute) {
				continue
			}
			d.Minutes++
			if d.Minute == 0 || cell.Minute < d.Minute {
				d.Minute = cell.Minute
			}
		}
	}
	c.found = append(c.found, d)
}

// shifted removes runs of neighbouring minutes whose differences cancel out: flows that began close to the turn of a
// minute and have slightly different times on the other side. It returns the rest.
func (c *comparison) shifted(list []Difference) (left []Difference) {
	for begin := 0; begin < len(list); {
		end := begin + 1
		sum := list[begin]
		for !sum.Theirs.same(sum.Ours) && end < len(list) && list[end].Minute-list[end-1].Minute <= minute {
			sum.Theirs.add(list[end].Theirs)
			sum.Ours.add(list[end].Ours)
			sum.Minutes++
			end++
		}
		if !sum.Theirs.same(sum.Ours) {
			left = append(left, list[begin])
			begin++
			continue
		}
		c.timed(sum, "flows at the turn of a minute: ")
		begin = end
	}
	if len(left) < 2 {
		return left
	}
	all := left[0]
	for _, d := range left[1:] {
		all.Theirs.add(d.Theirs)
		all.Ours.add(d.Ours)
		all.Minutes++
	}
	if all.Theirs.same(all.Ours) {
		c.timed(all, "the same flows at other times: ")
		return nil
	}
	return left
}

// timed notes a difference that is only in times.
func (c *comparison) timed(d Difference, what string) {
	d.Known = true
	switch {
	case c.theirs.Whole && !c.ours.Whole:
		d.Reason = what + "pmacct cuts NetFlow times to whole seconds"
	default:
		d.Reason = what + "another time of arrival, or a flow time that pmacct reads differently"
	}
	c.found = append(c.found, d)
}

// renamed removes minutes in which a device's traffic is equal, but on other interfaces.
func (c *comparison) renamed(device string) {
	byMinute := map[int64][]Difference{}
	for _, list := range c.cells[device] {
		for _, d := range list {
			byMinute[d.Minute] = append(byMinute[d.Minute], d)
		}
	}
	for _, m := range slices.Sorted(maps.Keys(byMinute)) {
		cells := byMinute[m]
		sum := Difference{Key: Key{Minute: m, Device: device}, Minutes: 1}
		for _, d := range cells {
			sum.Theirs.add(d.Theirs)
			sum.Ours.add(d.Ours)
		}
		if len(cells) < 2 || !sum.Theirs.same(sum.Ours) {
			continue
		}
		sum.Reason = "the same traffic on other interfaces: meta_interface has changed since, or the other side had " +
			"not loaded it"
		if c.theirs.Formats[device] {
			sum.Reason,
				sum.Known = "the same traffic on other interfaces: pmacct leaves sFlow's format bits in interface "+
				"numbers", true
		}
		if c.within(m) {
			c.found = append(c.found, sum)
		}
		for p, list := range c.cells[device] {
			c.cells[device][p] = slices.DeleteFunc(list, func(d Difference) bool { return d.Minute == m })
		}
	}
}

// reason returns the likely cause of a difference that nothing cancels.
func (c *comparison) reason(d Difference, theirs, ours Sums) (string, bool) {
	if c.Partial && (d.Minute == c.From.Unix() || d.Minute+minute == c.To.Unix()) {
		return "at the edge of the period: one side has less than the whole minute", false
	}
	if factor := ratio(theirs, ours); factor != "" {
		return "sampling: " + factor + " for this exporter; see decoder.sampling_rates", false
	}
	switch {
	case d.Theirs.Packets == d.Ours.Packets:
		return "other bytes in the same packets: another element counts (octetDelta, layer2, total), or a length " +
			"that pmacct cannot read", false
	case d.Theirs == Sums{}:
		return "pmacct made no message: NetFlow v9 counts that it takes for FlowSets, the other direction of " +
			"biflows, 802.1ad frames, or lost there", true
	case d.Ours.Bits >= d.Theirs.Bits && d.Ours.Packets >= d.Theirs.Packets:
		return "more here: records that pmacct does not read (NetFlow v9 counts, biflows, 802.1ad frames), or lost " +
			"there", true
	case d.Ours.Bits <= d.Theirs.Bits && d.Ours.Packets <= d.Theirs.Packets:
		return "less here: look at this minute's losses of the exporter in collector_loss", false
	}
	return "not explained", false
}

// ratio describes by how much two sums differ, if bits and packets differ by the same whole factor.
func ratio(theirs, ours Sums) string {
	is := func(a, b Sums) uint64 {
		if b.Bits == 0 || b.Packets == 0 || a.Bits%b.Bits != 0 || a.Packets%b.Packets != 0 ||
			a.Bits/b.Bits != a.Packets/b.Packets {
			return 0
		}
		return a.Bits / b.Bits
	}
	if n := is(ours, theirs); n > 1 {
		return fmt.Sprintf("this collector scales %d times as much", n)
	}
	if n := is(theirs, ours); n > 1 {
		return fmt.Sprintf("the other side scales %d times as much", n)
	}
	return ""
}
