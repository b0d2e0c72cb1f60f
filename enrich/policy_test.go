package enrich

import (
	"slices"
	"strconv"
	"testing"
)

func TestPolicyScope(t *testing.T) {
	communities := map[string]string{"7": "seven", "100": "hundred"}
	for _, c := range []struct {
		name     string
		policy   Policy
		src, dst uint32
		rd       string
		want     []string
	}{
		{"nothing", Policy{}, 1, 2, "0:1:7", nil},
		{"configured, in their order", Policy{Scopes: []string{"z", "a"}}, 1, 2, "0:1:7", []string{"z", "a"}},
		{"configured twice", Policy{Scopes: []string{"z", "a", "z"}}, 0, 0, "", []string{"z", "a"}},
		{"both AS, known and unknown, sorted", Policy{AutoScopes: true}, 3, 200, "", []string{"as:200", "as:3"}},
		{"both AS the same", Policy{AutoScopes: true}, 200, 200, "", []string{"as:200"}},
		{"AS 0", Policy{AutoScopes: true}, 0, 0, "", nil},
		{"only destination", Policy{AutoScopes: true}, 0, 5, "", []string{"as:5"}},
		{"configured before automatic", Policy{Scopes: []string{"z"}, AutoScopes: true}, 2, 1, "",
			[]string{"z", "as:1", "as:2"}},
		{"configured is not repeated (Q18)", Policy{Scopes: []string{"as:2", "x"}, AutoScopes: true}, 2, 1, "",
			[]string{"as:2", "x", "as:1"}},
		{"community", Policy{AutoScopes: true, CommunityScopes: communities}, 9, 1, "0:1:7",
			[]string{"as:1", "as:9", "comm:seven"}},
		{"community of the last part only", Policy{AutoScopes: true, CommunityScopes: communities}, 0, 0, "0:100:7",
			[]string{"comm:seven"}},
		{"community not mapped", Policy{AutoScopes: true, CommunityScopes: communities}, 0, 0, "0:7:8", nil},
		{"community of a VRF", Policy{AutoScopes: true, CommunityScopes: communities}, 0, 0, "vrfid:7",
			[]string{"comm:seven"}},
		{"no colon", Policy{AutoScopes: true, CommunityScopes: communities}, 0, 0, "7", nil},
		{"community without automatic scopes", Policy{CommunityScopes: communities}, 0, 0, "0:1:7", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			scopes := newScopes(c.policy)
			for _, when := range []string{"first", "again"} {
				var row Scopes
				scopes.set(&row, c.src, c.dst, c.rd)
				if got := row.Append(nil); !slices.Equal(got, c.want) {
					t.Errorf("%s: got %q, want %q", when, got, c.want)
				}
			}
		})
	}
}

func TestDecimalLess(t *testing.T) {
	numbers := []uint32{0, 1, 2, 9, 10, 19, 20, 99, 100, 199, 200, 64512, 645120, 1000000000, 4294967295, 429496729}
	for _, a := range numbers {
		for _, b := range numbers {
			if a == 0 || b == 0 {
				continue // AS 0 has no scope
			}
			if got, want := decimalLess(a, b), strconv.Itoa(int(a)) < strconv.Itoa(int(b)); got != want {
				t.Errorf("decimalLess(%d, %d) is %v", a, b, got)
			}
		}
	}
}

func TestWiden(t *testing.T) {
	numbers := []uint32{0, 1<<32 - 1}
	for n := uint64(1); n < 1<<32; n *= 10 {
		for d := range uint64(10) {
			numbers = append(numbers, uint32(n*d), uint32(n*d-1), uint32(n*d+1))
		}
	}
	for n := range 32 {
		numbers = append(numbers, 1<<n-1, 1<<n, 1<<n+1)
	}
	for _, n := range numbers {
		want := uint64(n)
		for want != 0 && want < 1e9 {
			want *= 10
		}
		if got := widen(n); got != want {
			t.Errorf("widen(%d) = %d, want %d", n, got, want)
		}
	}
}
