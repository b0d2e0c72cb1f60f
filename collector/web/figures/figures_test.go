package figures

import "testing"

func TestSI(t *testing.T) {
	for n, want := range map[float64]string{0: "0 ", 999: "999 ", 1000: "1.00 k", 12_345: "12.3 k", 99_960: "100 k",
		999_600: "1.00 M", 3.4e9: "3.40 G", 5e18: "5000 P"} {
		if got := SI(n); got != want {
			t.Errorf("SI(%v) is %q, want %q", n, got, want)
		}
	}
}

func TestGroups(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 1234: "1234", 12345: "12\u202f345", 1234567: "1\u202f234\u202f567"} {
		if got := Groups(n); got != want {
			t.Errorf("Groups(%d) is %q, want %q", n, got, want)
		}
	}
}
