package tally

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/metranova/flow-collector/decoder/flow"
)

// Account is what became of one stream's rows at one sink. At any time
// Taken + Found = Delivered + Waiting + OnDisk and all that is Lost and Quarantined.
type Account struct {
	Born uint64 // tells the account from an earlier one of the same stream

	Taken uint64 // handed to the sink by this run
	Found uint64 // left on disk by earlier runs

	Waiting   uint64 // now, in memory or on its way
	OnDisk    uint64 // now
	Delivered uint64 // the sink has confirmed it

	Spooled     uint64            // went to disk, ever; not in the balance
	Lost        map[string]uint64 // by reason
	Quarantined map[string]uint64 // put aside for a person to look at, by reason
}

// Out is all that came to an end or waits.
func (a *Account) Out() uint64 {
	return a.Delivered + a.Waiting + a.OnDisk + sum(a.Lost) + sum(a.Quarantined)
}

// settled reports whether nothing can happen to the account's rows any more.
func (a *Account) settled() bool { return a.Waiting == 0 && a.OnDisk == 0 }

func (a *Account) clone() Account {
	c := *a
	c.Lost, c.Quarantined = maps.Clone(a.Lost), maps.Clone(a.Quarantined)
	return c
}

// Add adds another account up, but for Born.
func (a *Account) Add(b *Account) {
	a.Taken += b.Taken
	a.Found += b.Found
	a.Waiting += b.Waiting
	a.OnDisk += b.OnDisk
	a.Delivered += b.Delivered
	a.Spooled += b.Spooled
	for reason, n := range b.Lost {
		count(&a.Lost, reason, n)
	}
	for reason, n := range b.Quarantined {
		count(&a.Quarantined, reason, n)
	}
}

func count(to *map[string]uint64, reason string, n uint64) {
	if *to == nil {
		*to = map[string]uint64{}
	}
	(*to)[reason] += n
}

func sum(by map[string]uint64) (n uint64) {
	for _, v := range by {
		n += v
	}
	return n
}

// maxAccounts bounds the streams that have an account of their own; those silent for longest make room, once settled.
const maxAccounts = 1 << 14

// Book keeps the accounts of one sink. It is touched once for every block that moves, so a lock is cheap enough. The
// zero value is empty.
type Book struct {
	mu       sync.Mutex
	accounts map[flow.StreamKey]*entry
	moves    uint64
	limit    int   // 0: maxAccounts
	other    entry // of streams that made room, or came when there was none
}

type entry struct {
	Account
	moved uint64 // the latest of moves
}

// Take counts rows that the sink was handed.
func (b *Book) Take(shares []Share) {
	b.each(shares, func(a *Account, n uint64) { a.Taken += n; a.Waiting += n })
}

// Find counts rows that an earlier run left on disk.
func (b *Book) Find(shares []Share) {
	b.each(shares, func(a *Account, n uint64) { a.Found += n; a.OnDisk += n })
}

// ToDisk counts rows that are about to be on disk: before anyone can take them from there. Then Spooled or NotToDisk
// follows.
func (b *Book) ToDisk(shares []Share) {
	b.each(shares, func(a *Account, n uint64) { a.Waiting -= n; a.OnDisk += n })
}

// NotToDisk takes ToDisk back.
func (b *Book) NotToDisk(shares []Share) {
	b.each(shares, func(a *Account, n uint64) { a.Waiting += n; a.OnDisk -= n })
}

// Spooled counts rows that went to disk.
func (b *Book) Spooled(shares []Share) {
	b.each(shares, func(a *Account, n uint64) { a.Spooled += n })
}

// Deliver counts rows that the sink has stored.
func (b *Book) Deliver(shares []Share, fromDisk bool) {
	b.each(shares, func(a *Account, n uint64) { a.leave(n, fromDisk); a.Delivered += n })
}

// Lose counts rows that were given up.
func (b *Book) Lose(shares []Share, fromDisk bool, reason string) {
	b.each(shares, func(a *Account, n uint64) { a.leave(n, fromDisk); count(&a.Lost, reason, n) })
}

// Quarantine counts rows that were put aside.
func (b *Book) Quarantine(shares []Share, fromDisk bool, reason string) {
	b.each(shares, func(a *Account, n uint64) { a.leave(n, fromDisk); count(&a.Quarantined, reason, n) })
}

func (a *Account) leave(n uint64, fromDisk bool) {
	if fromDisk {
		a.OnDisk -= n
	} else {
		a.Waiting -= n
	}
}

func (b *Book) each(shares []Share, move func(*Account, uint64)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.moves++
	for i := range shares {
		e := b.of(shares[i].Stream)
		e.moved = b.moves
		move(&e.Account, shares[i].Rows)
	}
}

// of is the account of a stream. One that has none when there is no room has its rows among the others', and keeps them
// there: a new account would not know of the rows that wait. So room is made only while no row of the others waits.
func (b *Book) of(key flow.StreamKey) *entry {
	if e := b.accounts[key]; e != nil {
		return e
	}
	if !b.other.settled() {
		return &b.other
	}
	if limit := cmp.Or(b.limit, maxAccounts); len(b.accounts) >= limit && !b.makeRoom(limit) {
		return &b.other
	}
	if b.accounts == nil {
		b.accounts = map[flow.StreamKey]*entry{}
	}
	e := &entry{Account: Account{Born: b.moves}}
	b.accounts[key] = e
	return e
}

// makeRoom moves the sixteenth part of the accounts that were settled for longest to the others'.
func (b *Book) makeRoom(limit int) bool {
	var settled []flow.StreamKey
	for key, e := range b.accounts {
		if e.settled() && e.moved != b.moves {
			settled = append(settled, key)
		}
	}
	slices.SortFunc(settled,
		func(x, y flow.StreamKey) int { return cmp.Compare(b.accounts[x].moved, b.accounts[y].moved) })
	for _, key := range settled[:min(len(settled), max(1, limit/16))] {
		b.other.Add(&b.accounts[key].Account)
		delete(b.accounts, key)
	}
	return len(settled) > 0
}

// Accounts returns a copy of all accounts, and what those together have that made room.
func (b *Book) Accounts() (byStream map[flow.StreamKey]Account, other Account) {
	b.mu.Lock()
	defer b.mu.Unlock()
	byStream = make(map[flow.StreamKey]Account, len(b.accounts))
	for key, e := range b.accounts {
		byStream[key] = e.clone()
	}
	return byStream, b.other.clone()
}

// Total returns all accounts added up.
func (b *Book) Total() Account {
	b.mu.Lock()
	defer b.mu.Unlock()
	total := b.other.clone()
	for _, e := range b.accounts {
		total.Add(&e.Account)
	}
	return total
}
