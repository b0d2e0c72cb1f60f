package listen

import (
	"net/netip"
	"testing"

	"golang.org/x/net/bpf"
)

// packetFrom is an IP header as far as steering reads it.
func packetFrom(source netip.Addr) []byte {
	b := make([]byte, 40)
	if source.Is4() {
		b[0] = 4 << 4
		copy(b[12:], source.AsSlice())
		return b
	}
	b[0] = 6 << 4
	copy(b[8:], source.AsSlice())
	return b
}

// steered runs the program. The virtual machine knows no loads relative to the network header: here the packet begins
// with it.
func steered(t testing.TB, sockets uint32, key steeringKey) func(netip.Addr) int {
	t.Helper()
	program := steering(sockets, key)
	for i, p := range program {
		if load, is := p.(bpf.LoadAbsolute); is {
			load.Off -= networkHeader
			program[i] = load
		}
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	return func(source netip.Addr) int {
		n, err := vm.Run(packetFrom(source))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
}

func testKey(n uint32) steeringKey {
	next := func() uint32 { n = n*1664525 + 1013904223; return n ^ n>>16 }
	k := steeringKey{mask: next(), multiplier: [2]uint32{next() | 1, next() | 1}}
	for i := range k.words {
		k.words[i] = next() | 1
	}
	return k
}

func neighbours(first netip.Addr, n int) []netip.Addr {
	all := []netip.Addr{first}
	for len(all) < n {
		all = append(all, all[len(all)-1].Next())
	}
	return all
}

// Neighbouring addresses spread over the workers, and other keys spread them otherwise.
func TestSteeringSpreads(t *testing.T) {
	const keys, sources = 50, 256
	for name, addresses := range map[string][]netip.Addr{
		"IPv4": neighbours(netip.MustParseAddr("10.0.0.1"), sources),
		"IPv6": neighbours(netip.MustParseAddr("2001:db8::1"), sources),
	} {
		for _, sockets := range []uint32{2, 3, 8} {
			together := 0 // with the first address, over all keys
			for k := range uint32(keys) {
				where := steered(t, sockets, testKey(k))
				count := make([]int, sockets)
				first := where(addresses[0])
				for _, a := range addresses {
					n := where(a)
					count[n]++
					if n == first {
						together++
					}
				}
				for n, of := range count {
					if fair := sources / int(sockets); of < fair/3 || of > 3*fair {
						t.Errorf("%s, key %d: worker %d of %d has %d of %d sources", name, k, n, sockets, of, sources)
					}
				}
			}
			if fair := keys * sources / int(sockets); together < fair*3/4 || together > fair*5/4 {
				t.Errorf("%s: over %d keys %d sources are together with the first, want some %d", name, keys, together,
					fair)
			}
		}
	}
}

// Sources that share a worker under one key do not under another: nobody can choose them without the key.
func TestSteeringDependsOnTheKey(t *testing.T) {
	const sockets = 4
	a, b := steered(t, sockets, testKey(1)), steered(t, sockets, testKey(2))
	for _, first := range []string{"10.1.2.3", "2001:db8:1:2::3"} {
		victim := netip.MustParseAddr(first)
		chosen, still := 0, 0
		for _, source := range neighbours(victim.Next(), 4000) {
			if a(source) != a(victim) {
				continue
			}
			chosen++
			if b(source) == b(victim) {
				still++
			}
		}
		if still > chosen/2 || still < chosen/8 {
			t.Errorf("%s: of %d sources that were chosen for one key %d share the worker under another, want a quarter",
				first, chosen, still)
		}
	}
}

func TestSteeringKeysDiffer(t *testing.T) {
	a, b := newSteeringKey(), newSteeringKey()
	if a == b {
		t.Errorf("keys %+v and %+v", a, b)
	}
	for _, n := range append(a.words[:], a.multiplier[:]...) {
		if n%2 == 0 {
			t.Errorf("an even multiplier loses a bit: %+v", a)
		}
	}
}
