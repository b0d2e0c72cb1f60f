package commandline

import "testing"

func TestCount(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 records", 1: "1 record", 2: "2 records", 1000000: "1000000 records"} {
		if got := Count(n, "record"); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
