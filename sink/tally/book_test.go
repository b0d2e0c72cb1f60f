package tally

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/metranova/flow-collector/decoder/flow"
)

func shares(rows uint64, streams ...int) (all []Share) {
	for _, n := range streams {
		all = append(all, Share{key(n), rows})
	}
	return all
}

func TestBook(t *testing.T) {
	var b Book
	b.Find(shares(7, 1))
	b.Deliver(shares(4, 1), true)
	b.Lose(shares(1, 1), true, "spool_age")
	b.Take(shares(100, 1, 2))
	b.Deliver(shares(50, 1, 2), false)
	b.ToDisk(shares(20, 1))
	b.Spooled(shares(20, 1))
	b.ToDisk(shares(10, 1))
	b.NotToDisk(shares(10, 1))
	b.Lose(shares(5, 1), false, "queue_full")
	b.Quarantine(shares(2, 1), false, "rejected")
	want := map[flow.StreamKey]Account{
		key(1): {
			Taken: 100, Found: 7, Waiting: 23, OnDisk: 22, Delivered: 54, Spooled: 20,
			Lost: map[string]uint64{"spool_age": 1, "queue_full": 5}, Quarantined: map[string]uint64{"rejected": 2},
		},
		key(2): {Taken: 100, Waiting: 50, Delivered: 50},
	}
	got, other := b.Accounts()
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Account{}, "Generation")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Account{}, other); diff != "" {
		t.Error(diff)
	}
	for k, a := range got {
		if a.Taken+a.Found != a.Out() {
			t.Errorf("%v does not balance: %+v", k, a)
		}
	}
}

// However many streams there are, the accounts are few and nothing gets out of the book.
func TestBookIsBounded(t *testing.T) {
	b := Book{limit: 32}
	random := rand.New(rand.NewPCG(1, 2))
	taken, delivered := uint64(0), uint64(0)
	var waiting [][]Share
	for range 5000 {
		block := shares(1+random.Uint64N(9), random.IntN(500), 500+random.IntN(500))
		b.Take(block)
		taken += 2 * block[0].Rows
		waiting = append(waiting, block)
		for len(waiting) > random.IntN(20) {
			b.Deliver(waiting[0], false)
			delivered += 2 * waiting[0][0].Rows
			waiting = waiting[1:]
		}
	}
	accounts, other := b.Accounts()
	if len(accounts) > 32 || other.Taken == 0 {
		t.Errorf("%d accounts, %d rows in none", len(accounts), other.Taken)
	}
	for k, a := range accounts {
		if a.Taken != a.Out() || a.Waiting > a.Taken {
			t.Errorf("%v does not balance: %+v", k, a)
		}
	}
	total := b.Total()
	if total.Taken != taken || total.Delivered != delivered || total.Waiting != taken-delivered ||
		total.Out() != taken {
		t.Errorf("%+v, want %d taken and %d delivered", total, taken, delivered)
	}
}
