package store

import (
	"math"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Queries yield to inserts where both want the same cores: a dashboard can wait, but flows go on coming in, and what is
// not inserted in time waits on disk. With the capability CAP_SYS_NICE the threads of queries have a lower priority.
// The engine changes no priority without it; queries then leave a core to the inserts while these are busy.
const (
	queryNice = 10
	// busyEnough is the share of the last seconds from which on inserts are busy.
	busyEnough = 0.5
)

// Names of the engine's settings. The engine gives a thread the nice value 0 when it has run a statement with the first
// one, so all statements have it.
const (
	niceSetting    = "os_threads_nice_value_query"
	threadsSetting = "max_threads"
)

// yield gives a statement its part of the processor.
func (s *server) yield(q *request, kind placeKind) {
	inserts := kind == insertPlaces || kind == ownInsertPlaces
	switch {
	case s.mayRenice && inserts:
		q.bound(niceSetting, strconv.Itoa(storeNice))
	case s.mayRenice:
		q.bound(niceSetting, strconv.Itoa(queryNice))
	case !inserts && s.threads > 1 && q.sessionID == "" && s.places.insertsBusy(time.Now()): // a session has its own
		q.bound(threadsSetting, strconv.Itoa(s.threads-1))
	}
}

// mayRenice reports whether this process has CAP_SYS_NICE, and a priority that storeNice does not raise.
func mayRenice() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // of capabilities 0 to 31, and of the others
	if unix.Capget(&header, &data[0]) != nil || data[0].Effective&(1<<unix.CAP_SYS_NICE) == 0 {
		return false
	}
	nice, err := threadNice()
	return err == nil && nice <= storeNice
}

// usage is the share of the time in which something ran: of the last seconds more than of those before.
type usage struct {
	running int
	share   float64 // until at
	at      time.Time
}

// usageSpan is the time after which what was before counts for a third.
const usageSpan = 10 * time.Second

// add says that now one more, or with -1 one less, runs; 0 brings share up to date.
func (u *usage) add(n int, now time.Time) {
	ran := 0.0
	if u.running > 0 {
		ran = 1
	}
	if !u.at.IsZero() {
		u.share = ran + (u.share-ran)*math.Exp(-now.Sub(u.at).Seconds()/usageSpan.Seconds())
	}
	u.running += n
	u.at = now
}

// insertsBusy reports whether the collector's inserts run most of the time.
func (p *places) insertsBusy(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inserts.add(0, now)
	return p.inserts.share >= busyEnough
}
