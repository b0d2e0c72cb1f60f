package store

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// placeKind is a class of statements with its own places. Dashboards then cannot block inserts, nor the collector's
// reads of metadata.
type placeKind int

const (
	queryPlaces     placeKind = iota // statements of everybody else
	insertPlaces                     // their inserts of data
	ownInsertPlaces                  // the collector's inserts of data
	ownPlaces                        // its other statements: tables, metadata, and what its driver asks first
	killPlaces                       // KILL, by which clients end the statements that have the other places
	placeKinds
)

func (k placeKind) String() string {
	return [...]string{"queries", "inserts", "the collector's inserts", "the collector's own statements", "KILL"}[k]
}

// places bounds how many statements run at once. It is safe for concurrent use.
type places struct {
	kinds [placeKinds]chan struct{}
	log   *zap.Logger
	patience,
	tellAfter time.Duration

	waiting [placeKinds]atomic.Int64

	mu      sync.Mutex
	next    uint64
	active  map[uint64]running // by number
	inserts usage              // of the collector's inserts
	refused atomic.Uint64
	told    [placeKinds]time.Time // when the log was last told that all are taken
}

// running is a statement that has a place.
type running struct {
	kind  placeKind
	begun time.Time
	text  string // the beginning of it
}

// placePatience is how long a statement waits for a place.
const placePatience = 2 * time.Minute

// maxWaiting limits the waiting statements of a kind. Each holds a connection and the text of its request.
const maxWaiting = 256

// errClientLeft is what nobody reads.
var errClientLeft = newException(codeTooManyQueries, "TOO_MANY_SIMULTANEOUS_QUERIES",
	"The client left while the statement waited for its turn")

func newPlaces(queries int, log *zap.Logger) *places {
	p := &places{log: log, patience: placePatience, tellAfter: 10 * time.Second, active: map[uint64]running{}}
	for k := range p.kinds {
		p.kinds[k] = make(chan struct{}, otherPlaces)
	}
	p.kinds[queryPlaces] = make(chan struct{}, queries)
	return p
}

// take waits for a place. free gives it back. The error says why there is no place.
func (p *places) take(ctx context.Context, kind placeKind, text string) (free func(), err error) {
	slots := p.kinds[kind]
	select {
	case slots <- struct{}{}:
		return p.begin(kind, text), nil
	default:
	}
	defer p.waiting[kind].Add(-1)
	if p.waiting[kind].Add(1) > maxWaiting {
		p.refused.Add(1)
		return nil, newException(codeTooManyQueries, "TOO_MANY_SIMULTANEOUS_QUERIES",
			"All %d places for %s are taken, and %d statements wait for one", cap(slots), kind, maxWaiting)
	}
	late, tooLate := time.NewTimer(p.tellAfter), time.NewTimer(p.patience)
	defer late.Stop()
	defer tooLate.Stop()
	for {
		select {
		case slots <- struct{}{}:
			return p.begin(kind, text), nil
		case <-late.C:
			p.tell(kind)
		case <-tooLate.C:
			p.refused.Add(1)
			return nil, newException(codeTooManyQueries, "TOO_MANY_SIMULTANEOUS_QUERIES",
				"All %d places for %s are taken since %s", cap(slots), kind, p.patience)
		case <-ctx.Done():
			return nil, errClientLeft
		}
	}
}

func (p *places) begin(kind placeKind, text string) (free func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next++
	n := p.next
	now := time.Now()
	p.active[n] = running{kind, now, excerpt(text)}
	if kind == ownInsertPlaces {
		p.inserts.add(1, now)
	}
	return func() {
		p.mu.Lock()
		delete(p.active, n)
		if kind == ownInsertPlaces {
			p.inserts.add(-1, time.Now())
		}
		p.mu.Unlock()
		<-p.kinds[kind]
	}
}

// tell writes a line, once a minute for each kind.
func (p *places) tell(kind placeKind) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Sub(p.told[kind]) < time.Minute {
		return
	}
	p.told[kind] = now
	oldest := running{begun: now}
	for _, r := range p.active {
		if r.kind == kind && r.begun.Before(oldest.begun) {
			oldest = r
		}
	}
	p.log.Warn("all places are taken and more statements wait", zap.Stringer("for", kind),
		zap.Int("places", cap(p.kinds[kind])),
		zap.Duration("the longest runs for", now.Sub(oldest.begun).Round(time.Second)),
		zap.String("statement", oldest.text))
}

// running is how many statements have a place.
func (p *places) running() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.active)
}

// excerpt is the beginning of a statement, in one line.
func excerpt(text string) string {
	const most = 200
	line := strings.Join(strings.Fields(text[:min(len(text), 2*most)]), " ")
	if len(line) > most {
		line = strings.ToValidUTF8(line[:most], "") + "…"
	}
	return line
}
