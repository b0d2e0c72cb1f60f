// Package ledger adds up what came from every exporter and what became of it, stage by stage, from counters that the
// stages keep anyway. Nothing of it is on a datagram's way: it reads when it is asked.
//
// It balances. Of the datagrams that reached the machine, those that the kernel dropped, those that were refused, those
// of sources that took more than their share, and those that are of no protocol are counted apart; every other one is
// in the stream of its exporter, protocol and domain. Of the sets that waited for a template, each was recovered, was
// given up (no_template), or waits. Of the records that were decoded, each is a row that is in a block in the making,
// waits, is on disk, was delivered, quarantined or lost, at every sink.
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

// Options say what is added up. The functions are called at every Update; nil: there is nothing of the kind.
type Options struct {
	Tables  func() []*exporter.Table
	Sockets func() []Socket
	Refused func() map[netip.Addr]uint64
	// OverShare are the datagrams that workers dropped while the collector was behind, by source.
	OverShare func() map[netip.Addr]uint64
	// Connections are those that ended or were refused.
	Connections func() map[stream.End]uint64
	Sinks       []Sink
	// MaxStreams is how many streams are told apart; all others are one. 0: 500.
	MaxStreams int
}

const defaultMaxStreams = 500

// Socket are the counters of one socket.
type Socket struct {
	listen.SocketStats
	Worker int
}

// Sink is a destination of rows.
type Sink struct {
	Name    string
	Book    *tally.Book
	Reasons []string // for which it loses rows or puts them aside
}

// Ledger adds up. Its methods are safe for concurrent use.
type Ledger struct {
	o       Options
	columns []Column
	streams []streamColumn

	mu       sync.Mutex
	tables   map[*exporter.Table]*source
	books    []*source
	accounts map[flow.StreamKey]*account
	others   *account
	waiting  map[flow.StreamKey]waiting // since the latest Minute, of streams among the others
	apart    map[Apart]uint64           // what Minute has reported of them
}

// account is what one stream has counted since it is told apart.
type account struct {
	counts   []uint64
	reported []uint64  // by Minute
	since    time.Time // when it was first told apart
	active   time.Time // when a datagram of it was last counted
}

// mayGo reports whether another stream may be told apart instead: one that gave data may after a minute in place of one
// that did not, and otherwise after as long a silence as the account was active, ten minutes at most. So a flood of
// streams that come once hides the others for a minute.
func (a *account) mayGo(now time.Time, forData bool) bool {
	if forData && !a.gave() {
		return true
	}
	silent := now.Sub(a.active)
	return silent >= time.Minute/2 && silent >= min(silence, a.active.Sub(a.since))
}

// gave reports whether the stream has given data.
func (a *account) gave() bool { return a.counts[recordsColumn] > 0 || a.counts[samplesColumn] > 0 }

// waiting is what a stream that is not told apart has counted since the latest Minute.
type waiting struct {
	bytes uint64
	gave  bool
}

// New returns a ledger of what is to come.
func New(o Options) *Ledger {
	o.MaxStreams = cmp.Or(o.MaxStreams, defaultMaxStreams)
	l := &Ledger{
		o: o, streams: streamColumns(), tables: map[*exporter.Table]*source{},
		accounts: map[flow.StreamKey]*account{}, waiting: map[flow.StreamKey]waiting{}, apart: map[Apart]uint64{},
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

// Columns says what Series.Counts are. They must not be changed.
func (l *Ledger) Columns() []Column { return l.columns }

// Series are the counts of one stream; they only grow, as long as it is told apart.
type Series struct {
	Stream flow.StreamKey // the zero value: all that are not told apart
	Counts []uint64       // in the order of Columns
}

// Others reports whether it is of all streams that are not told apart.
func (s *Series) Others() bool { return s.Stream == flow.StreamKey{} }

// Series returns the counts of now.
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

// maxWaiting bounds the streams among the others that may be told apart next.
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

// account is that of a stream, or of the others where there is no room.
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

// silence is for how long a stream is silent before another may take its place.
const silence = 10 * time.Minute

// makeRoom lets streams go that may, for those among the others that gave data and sent most since the latest time.
func (l *Ledger) makeRoom(now time.Time) {
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

// Waiting returns how many rows of this run wait in memory or are on their way, by sink.
func (l *Ledger) Waiting() map[string]uint64 {
	all := map[string]uint64{}
	for _, s := range l.o.Sinks {
		total := s.Book.Total()
		all[s.Name] = total.Waiting
	}
	return all
}

// Apart names what is counted of no stream: reason and, where it is known, from where.
type Apart struct {
	Stage, Reason, From string
	Worker              int
}

// Apart returns what is counted of no stream: datagrams that the kernel dropped (from which socket; as the receive
// buffer was full or as they came while the collector stopped), that were refused or dropped as overload (from which
// source; "other" for those beyond the first few hundred), and of no protocol; and connections that ended or were
// refused.
func (l *Ledger) Apart() map[Apart]uint64 {
	all := map[Apart]uint64{}
	if l.o.Sockets != nil {
		for _, s := range l.o.Sockets() {
			all[Apart{Kernel, "receive_buffer", s.Address, s.Worker}] += s.KernelDrops
			if s.Late > 0 {
				all[Apart{Kernel, "stopping", s.Address, s.Worker}] += s.Late
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
			all[Apart{stage, reason, from, 0}] += n
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
			all[Apart{Connection, string(end.Reason), from, 0}] += n
		}
	}
	if l.o.Tables != nil {
		for _, t := range l.o.Tables() {
			for _, r := range exporter.Reasons() {
				if n := t.UnattributedCount(r); n > 0 {
					all[Apart{Decode, r.String(), "", 0}] += n
				}
			}
		}
	}
	return all
}

// Other names what is not told apart.
const Other = "other"

// Line is what was counted within a minute.
type Line struct {
	Stream   flow.StreamKey // with Exporter "other" or of no stream the zero value
	Exporter string         // its address, "other", or "" where it is not known
	Column
	Count uint64
}

// Minute returns what was counted since it was last called, what is 0 left out.
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
	for apart, n := range l.Apart() {
		more := n - l.apart[apart]
		if more == 0 {
			continue
		}
		l.apart[apart] = n
		line := Line{Exporter: apart.From, Count: more,
			Column: Column{Stage: apart.Stage, Reason: apart.Reason, Unit: "datagrams", Missing: true}}
		if apart.Stage == Connection {
			line.Unit, line.Missing = "connections", stream.Reason(apart.Reason).Loses()
		}
		if apart.Stage == Kernel {
			line.Exporter = "" // whose they were nobody knows
		}
		lines = append(lines, line)
	}
	l.makeRoom(now)
	return lines
}
