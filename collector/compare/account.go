// Package compare compares two accounts of the same traffic, pmacct's or an existing table's and this collector's, by
// exporter, interfaces and minute. For each difference it gives the likely cause.
package compare

import "time"

// Key identifies a cell of an account: the traffic of one exporter between two interfaces in one minute. With BySource
// it is the traffic of one address: Device is the source address of the flows.
type Key struct {
	Minute  int64 // Unix seconds; a flow counts in the minute of its start
	Device  string
	In, Out string // interface ids; "" if the metadata has none
}

// Sums are the sums of a cell. Bits and packets are multiplied by the sampling rate.
type Sums struct{ Flows, Bits, Packets uint64 }

func (s *Sums) add(t Sums) {
	s.Flows += t.Flows
	s.Bits += t.Bits
	s.Packets += t.Packets
}

// same reports whether two cells have the same traffic. The number of flows may differ, because pmacct merges flows.
func (s Sums) same(t Sums) bool { return s.Bits == t.Bits && s.Packets == t.Packets }

// Account is one side. NewAccount makes an empty one.
type Account struct {
	Name  string // for people
	By    By     // BySource must be set before anything is added, the others are done by Regroup
	Cells map[Key]Sums
	// Whole is true if the times of all flows are whole seconds; meaningless for an empty account.
	Whole bool
	// Formats are devices whose interface numbers include sFlow's format bits, which pmacct leaves in.
	Formats map[string]bool
	// Left counts, by reason, messages that make no row.
	Left map[string]uint64
}

// NewAccount returns an empty account.
func NewAccount(name string) *Account {
	return &Account{Name: name, Cells: map[Key]Sums{}, Whole: true, Formats: map[string]bool{},
		Left: map[string]uint64{}}
}

// Add adds traffic to a cell.
func (a *Account) Add(k Key, s Sums) {
	cell := a.Cells[k]
	cell.add(s)
	a.Cells[k] = cell
}

// By says what traffic is added up by: ByTotal by minute alone, ByExporter by exporter and minute, ByInterface by
// interfaces too, which is the default. BySource is by the source address of the flows, whatever exporter saw them.
type By string

// The ways to add up.
const (
	ByTotal     By = "total"
	ByExporter  By = "exporter"
	ByInterface By = "interface"
	BySource    By = "source"
)

// allDevices stands for all exporters.
const allDevices = "all"

// Regroup adds the cells up in another way, with other names for some exporters.
func (a *Account) Regroup(by By, names map[string]string) {
	cells := a.Cells
	a.Cells = make(map[Key]Sums, len(cells))
	for k, s := range cells {
		if name, found := names[k.Device]; found {
			k.Device = name
		}
		switch by {
		case ByTotal:
			k = Key{Minute: k.Minute, Device: allDevices}
		case ByExporter:
			k.In, k.Out = "", ""
		}
		a.Add(k, s)
	}
}

// Period is the time from the first minute with traffic to the end of the last; false for an empty account.
func (a *Account) Period() (from, to time.Time, ok bool) {
	var first, last int64
	for k := range a.Cells {
		if !ok || k.Minute < first {
			first = k.Minute
		}
		if !ok || k.Minute > last {
			last = k.Minute
		}
		ok = true
	}
	return time.Unix(first, 0).UTC(), time.Unix(last+minute, 0).UTC(), ok
}

const minute = 60

// minuteOf returns the start of the minute of a time in Unix milliseconds.
func minuteOf(ms int64) int64 {
	const length = minute * 1000
	m := ms / length
	if ms%length < 0 {
		m--
	}
	return m * minute
}
