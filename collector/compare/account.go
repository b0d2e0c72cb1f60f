// Package compare sets two accounts of the same traffic side by side, pmacct's or an existing table's and this
// collector's, by exporter, interfaces and minute, and says of each difference what is likely behind it.
package compare

import "time"

// Key names a cell of an account: what one exporter saw between two interfaces in one minute.
type Key struct {
	Minute  int64 // Unix seconds of its begin, by the flows' start
	Device  string
	In, Out string // interface ids; "" where the metadata knows none
}

// Sums are what a cell adds up. Bits and packets are renormalized.
type Sums struct{ Flows, Bits, Packets uint64 }

func (s *Sums) add(t Sums) {
	s.Flows += t.Flows
	s.Bits += t.Bits
	s.Packets += t.Packets
}

// same reports whether two cells hold the same traffic. How many flows it is cut into is not looked at: pmacct merges.
func (s Sums) same(t Sums) bool { return s.Bits == t.Bits && s.Packets == t.Packets }

// Account is one side. NewAccount makes an empty one.
type Account struct {
	Name  string // for people
	Cells map[Key]Sums
	// Whole says that flow times are whole seconds, of every flow that was added; meaningless for an empty account.
	Whole bool
	// Formats are devices with interface numbers that have sFlow's format bits, which pmacct leaves in.
	Formats map[string]bool
	// Left counts messages that make no row, by the reason.
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
// interfaces too, which is the default.
type By string

// The ways to add up.
const (
	ByTotal     By = "total"
	ByExporter  By = "exporter"
	ByInterface By = "interface"
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

// minuteOf is the begin of the minute of a time in Unix milliseconds.
func minuteOf(ms int64) int64 {
	const length = minute * 1000
	m := ms / length
	if ms%length < 0 {
		m--
	}
	return m * minute
}
