package journal

import (
	"testing"
	"time"
)

func TestJournal(t *testing.T) {
	var j Journal
	if j.Recovered() {
		t.Error("recovered though nothing failed")
	}
	if !j.Due("a") || j.Due("a") || !j.Due("b") {
		t.Error("the first line of each sort is due, the second is not")
	}
	j.last["a"] = time.Now().Add(-interval)
	if !j.Due("a") {
		t.Error("not due after a minute")
	}
	if !j.Failed("c") || j.Failed("c") {
		t.Error("the first failure of a sort is due, the second is not")
	}
	if !j.Recovered() || j.Recovered() {
		t.Error("recovered is said once")
	}
	if !j.Failed("c") || !j.Due("b") {
		t.Error("after that every sort is new")
	}
}
