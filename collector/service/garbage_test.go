package service

import "testing"

// The more is in use, the less garbage there may be beside it in percent, between two bounds.
func TestPercentOf(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{{0, 40}, {10 << 20, 40}, {30 << 20, 40}, {50 << 20, 24}, {75 << 20, 16}, {1 << 30, 16}} {
		if got := percentOf(c.live); got != c.want {
			t.Errorf("%d MiB in use: %d %%, want %d", c.live>>20, got, c.want)
		}
	}
}
