// Package ledger adds up what was received from every exporter and what became of it, stage by stage, from counters
// that the stages keep anyway. It is not on a datagram's way: it reads the counters when it is asked.
//
// The ledger balances. Datagrams that reached the machine and were dropped by the kernel, were refused, exceeded their
// source's share, or are of no protocol are counted without a stream; every other datagram is in the stream of its
// exporter, protocol and domain. A set that waited for a template was recovered, was given up (no_template), or is
// waiting. A decoded record is one row at every sink: in the current block, waiting, on disk, delivered, quarantined or
// lost.
package ledger

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/metranova/flow-collector/collector/listen"
	"github.com/metranova/flow-collector/collector/stream"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/sink/tally"
)

// Options are the sources of the counters. The functions are called at every Update; nil: there are no such counters.
type Options struct {
	Tables  func() []*exporter.Table
	Sockets func() []Socket
	Refused func() map[netip.Addr]uint64
	// OverShare returns the datagrams that workers dropped while the collector was behind, by source.
	OverShare func() map[netip.Addr]uint64
	// Connections returns the connections that ended or were refused.
	Connections func() map[stream.End]uint64
	Sinks       []Sink
	// MaxStreams is how many streams have an account of their own; all others share one. 0: 500.
	MaxStreams int
}

const defaultMaxStreams = 500

// Socket has the counters of one socket.
type Socket struct {
	listen.SocketStats
	Worker int
}

// Sink is a destination of rows.
type Sink struct {
	Name    string
	Book    *tally.Book
	Reasons []string // the reasons why it loses or quarantines rows
}

// Ledger adds up counters. It is safe for concurrent use.
type Ledger struct {
	o       Options
	columns []Column
	streams []streamColumn

	mu       sync.Mutex
	tables   map[*exporter.Table]*source
	books    []*source
	accounts map[flow.StreamKey]*account
	others   *account
	waiting  map[flow.StreamKey]waiting // since the latest Minute, of streams without an account
	reported map[Unattributed]uint64    // the part that Minute has reported
}

// account has a stream's counts since the stream has an account of its own.
type account struct {
	counts   []uint64
	reported []uint64  // by Minute
	since    time.Time // when the account was opened
	active   time.Time // when the latest datagram was counted
}

// mayGo reports whether another stream may take over the account. If the other one gave data and this one did not, it
// may after one minute; otherwise after a silence as long as the account was active, at most ten minutes. So a flood of
// streams that come once hides the others for one minute.
func (a *account) mayGo(now time.Time, forData bool) bool {
	if forData && !a.gave() {
		return true
	}
	silent := now.Sub(a.active)
	return silent >= time.Minute/2 && silent >= min(silence, a.active.Sub(a.since))
}

// gave reports whether the stream has given data.
func (a *account) gave() bool { return a.counts[recordsColumn] > 0 || a.counts[samplesColumn] > 0 }

// waiting has the counts, since the latest Minute, of a stream without an account.
type waiting struct {
	bytes uint64
	gave  bool
}

// New returns an empty ledger.
func New(o Options) *Ledger {
	o.MaxStreams = cmp.Or(o.MaxStreams, defaultMaxStreams)
	l := &Ledger{
		o: o, streams: streamColumns(), tables: map[*exporter.Table]*source{},
		accounts: map[flow.StreamKey]*account{}, waiting: map[flow.StreamKey]waiting{},
		reported: map[Unattributed]uint64{},
	}
	for i := range l.streams {
		l.columns = append(l.columns, l.streams[i].Column)
	}
	for i := range o.Sinks {
		columns := accountColumns(&o.Sinks[i])
		l.books = append(l.books, bookSource(len(l.columns), o.Sinks[i].Book, columns))
		for i := range columns {
			l.columns = append(l.columns, columns[i].Column)
		}
	}
	l.others = l.newAccount()
	return l
}

func (l *Ledger) newAccount() *account {
	return &account{counts: make([]uint64, len(l.columns)), reported: make([]uint64, len(l.columns))}
}

// Columns describes Series.Counts. It must not be changed.
func (l *Ledger) Columns() []Column { return l.columns }

// Series are the counts of one stream. They only grow while the stream has an account.
type Series struct {
	Stream flow.StreamKey // the zero value: all streams without an account
	Counts []uint64       // in the order of Columns
}

// Others reports whether it is the series of all streams without an account.
func (s *Series) Others() bool { return s.Stream == flow.StreamKey{} }

// Series returns the present counts.
func (l *Ledger) Series() []Series {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.update(time.Now())
	all := []Series{{Counts: slices.Clone(l.others.counts)}}
	for key, a := range l.accounts {
		all = append(all, Series{key, slices.Clone(a.counts)})
	}
	slices.SortFunc(all, func(a, b Series) int { return compareStreams(a.Stream, b.Stream) })
	return all
}

func compareStreams(a, b flow.StreamKey) int {
	return cmp.Or(slices.Compare(a.Exporter[:], b.Exporter[:]), cmp.Compare(a.Protocol, b.Protocol),
		cmp.Compare(a.Domain, b.Domain))
}

// update reads all sources.
func (l *Ledger) update(now time.Time) {
	grown := func(stream flow.StreamKey, first int, by []uint64) {
		if !slices.ContainsFunc(by, func(n uint64) bool { return n > 0 }) {
			return
		}
		a := l.account(stream, now)
		for i, n := range by {
			a.counts[first+i] += n
		}
		if first == 0 && by[datagramsColumn] > 0 {
			a.active = now
			if a == l.others && stream != (flow.StreamKey{}) {
				l.wait(stream, by)
			}
		}
	}
	if l.o.Tables != nil {
		for _, t := range l.o.Tables() {
			s := l.tables[t]
			if s == nil {
				s = tableSource(t, l.streams)
				l.tables[t] = s
			}
			s.update(grown)
		}
	}
	for _, b := range l.books {
		b.update(grown)
	}
}

// maxWaiting limits the streams that are candidates for an account.
const maxWaiting = 1 << 14

func (l *Ledger) wait(stream flow.StreamKey, by []uint64) {
	w, known := l.waiting[stream]
	if !known && len(l.waiting) >= maxWaiting {
		return
	}
	w.bytes += by[bytesColumn]
	w.gave = w.gave || by[recordsColumn] > 0 || by[samplesColumn] > 0
	l.waiting[stream] = w
}

// account returns the account of a stream, or that of the others if there is no free one.
func (l *Ledger) account(stream flow.StreamKey, now time.Time) *account {
	if a := l.accounts[stream]; a != nil {
		return a
	}
	if stream == (flow.StreamKey{}) || len(l.accounts) >= l.o.MaxStreams {
		return l.others
	}
	a := l.newAccount()
	a.since, a.active = now, now
	l.accounts[stream] = a
	return a
}

// silence is how long a stream must be silent before another may take over its account.
const silence = 10 * time.Minute

// evict closes accounts that may go, in favour of the streams without one that gave data and sent the most since the
// last time.
func (l *Ledger) evict(now time.Time) {
	waiting := slices.SortedFunc(maps.Keys(l.waiting), func(a, b flow.StreamKey) int {
		x, y := l.waiting[a], l.waiting[b]
		if x.gave != y.gave {
			if x.gave {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(y.bytes, x.bytes), compareStreams(a, b))
	})
	first := 0
	for _, key := range slices.Collect(maps.Keys(l.accounts)) {
		if first == len(waiting) {
			break
		}
		if a := l.accounts[key]; a.mayGo(now, l.waiting[waiting[first]].gave) {
			delete(l.accounts, key)
			l.account(waiting[first], now)
			first++
		}
	}
	clear(l.waiting)
}

// Waiting returns how many rows of this run are waiting in memory or in transit, by sink.
func (l *Ledger) Waiting() map[string]uint64 {
	all := map[string]uint64{}
	for _, s := range l.o.Sinks {
		total := s.Book.Total()
		all[s.Name] = total.Waiting
	}
	return all
}

// Unattributed identifies a counter that belongs to no stream: its stage and reason and, if known, its source.
type Unattributed struct {
	Stage, Reason, From string
	Worker              int
}

// Unattributed returns the counters that belong to no stream: datagrams that the kernel dropped (by socket; because the
// receive buffer was full, or because they came while the collector stopped), that were refused or dropped as overload
// (by source; "other" for those beyond the first few hundred), or that are of no protocol; and connections that ended
// or were refused.
func (l *Ledger) Unattributed() map[Unattributed]uint64 {
	all := map[Unattributed]uint64{}
	if l.o.Sockets != nil {
		for _, s := range l.o.Sockets() {
			all[Unattributed{Kernel, "receive_buffer", s.Address, s.Worker}] += s.KernelDrops
			if s.Late > 0 {
				all[Unattributed{Kernel, "stopping", s.Address, s.Worker}] += s.Late
			}
		}
	}
	bySource := func(stage, reason string, counts func() map[netip.Addr]uint64) {
		if counts == nil {
			return
		}
		for source, n := range counts() {
			from := Other
			if source.IsValid() {
				from = source.String()
			}
			all[Unattributed{stage, reason, from, 0}] += n
		}
	}
	bySource(Filter, "allowed_exporters", l.o.Refused)
	bySource(Overload, "share", l.o.OverShare)
	if l.o.Connections != nil {
		for end, n := range l.o.Connections() {
			from := Other
			if end.Source.IsValid() {
				from = end.Source.String()
			}
			all[Unattributed{Connection, string(end.Reason), from, 0}] += n
		}
	}
	if l.o.Tables != nil {
		for _, t := range l.o.Tables() {
			for _, r := range exporter.Reasons() {
				if n := t.UnattributedCount(r); n > 0 {
					all[Unattributed{Decode, r.String(), "", 0}] += n
				}
			}
		}
	}
	return all
}

// Other is the name of everything that has no series of its own.
const Other = "other"

// Line is what was counted within a minute.
type Line struct {
	Stream   flow.StreamKey // the zero value if Exporter is "other" or there is no stream
	Exporter string         // its address, "other", or "" if unknown
	Column
	Count uint64
}

// Minute returns what was counted since its last call, without zeros.
func (l *Ledger) Minute(now time.Time) []Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.update(now)
	var lines []Line
	report := func(stream flow.StreamKey, name string, a *account) {
		for i, n := range a.counts {
			if more := n - a.reported[i]; more > 0 {
				lines = append(lines, Line{stream, name, l.columns[i], more})
			}
		}
		copy(a.reported, a.counts)
	}
	for _, key := range slices.SortedFunc(maps.Keys(l.accounts), compareStreams) {
		report(key, key.Exporter.String(), l.accounts[key])
	}
	report(flow.StreamKey{}, Other, l.others)
	for counter, n := range l.Unattributed() {
		more := n - l.reported[counter]
		if more == 0 {
			continue
		}
		l.reported[counter] = n
		line := Line{Exporter: counter.From, Count: more,
			Column: Column{Stage: counter.Stage, Reason: counter.Reason, Unit: "datagrams", Missing: true}}
		if counter.Stage == Connection {
			line.Unit, line.Missing = "connections", stream.Reason(counter.Reason).Loses()
		}
		if counter.Stage == Kernel {
			line.Exporter = "" // the exporter is unknown
		}
		lines = append(lines, line)
	}
	l.evict(now)
	return lines
}
