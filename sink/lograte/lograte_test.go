package lograte

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Limiter
		if l.Recovered() {
			t.Error("recovered though nothing failed")
		}
		if !l.Allow("a") || l.Allow("a") || !l.Allow("b") {
			t.Error("the first line of each key is allowed, the second is not")
		}
		time.Sleep(interval)
		if !l.Allow("a") {
			t.Error("not allowed after a minute")
		}
		if !l.AllowFailure("c") || l.AllowFailure("c") {
			t.Error("the first failure of a key is allowed, the second is not")
		}
		if !l.Recovered() || l.Recovered() {
			t.Error("a recovery is reported once")
		}
		if !l.AllowFailure("c") || !l.Allow("b") {
			t.Error("after a recovery every key starts again")
		}
	})
}

func TestOneLine(t *testing.T) {
	if got := OneLine(errors.Join(errors.New("a"), errors.New("b"))).Error(); got != "a; b" {
		t.Errorf("got %q", got)
	}
}
