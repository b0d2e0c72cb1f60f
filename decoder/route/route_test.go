package route

import (
	"net/netip"
	"testing"
)

func TestPrefix(t *testing.T) {
	tests := []struct{ in, want string }{
		{"0.0.0.0/0", "0.0.0.0/0"},
		{"192.0.2.129/25", "192.0.2.128/25"},
		{"255.255.255.255/32", "255.255.255.255/32"},
		{"::/0", "::/0"},
		{"2001:db8:ffff::/33", "2001:db8:8000::/33"},
		{"2001:db8::1:2:3:4/64", "2001:db8::/64"},
		{"2001:db8::ffff:2:3:4/65", "2001:db8:0:0:8000::/65"},
		{"2001:db8::1/128", "2001:db8::1/128"},
	}
	for _, test := range tests {
		if got := PrefixFrom(netip.MustParsePrefix(test.in)).String(); got != test.want {
			t.Errorf("%s: got %s, want %s", test.in, got, test.want)
		}
	}
	if PrefixFrom(netip.Prefix{}) != (Prefix{}) {
		t.Error("an invalid prefix is not the zero value")
	}
}

func TestFamilyIndex(t *testing.T) {
	for i := range Families {
		if got := FamilyAt(i).Index(); got != i {
			t.Errorf("family %v: index %d, want %d", FamilyAt(i), got, i)
		}
	}
}

func TestRDString(t *testing.T) {
	tests := []struct {
		rd   RD
		want string
	}{
		{0, "0:0:0"},
		{64500<<32 | 7, "0:64500:7"},
		{1<<48 | 0xc0000201<<16 | 9, "1:192.0.2.1:9"},
		{2<<48 | 4226809946<<16 | 12, "2:4226809946:12"},
	}
	for _, test := range tests {
		if got := test.rd.String(); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

// Texts are those of pmacct 1.7.7 but for extended communities that it writes as "?".
func TestTexts(t *testing.T) {
	extended := []struct {
		c    uint64
		want string
	}{
		{0x0002_fbf4_0000_0007, "RT:64500:7"},
		{0x0103_c000_0201_0009, "SoO:192.0.2.1:9"},
		{0x0202_fbef_0a1a_0001, "RT:4226746906:1"},
		{0x4004_0000_4700_0000, "64:4:1191182336"},
		{0x030c_0000_0000_0008, "3:12:8"},
	}
	for _, test := range extended {
		if got := string(AppendExtended(nil, test.c)); got != test.want {
			t.Errorf("%#x: got %s, want %s", test.c, got, test.want)
		}
	}
	if got := string(AppendCommunity(nil, 64500<<16|666)); got != "64500:666" {
		t.Errorf("community %s", got)
	}
	if got := string(AppendLarge(nil, Large{4226809946, 0, 7})); got != "4226809946:0:7" {
		t.Errorf("large community %s", got)
	}
	for c, want := range map[uint32]string{0: "internet", 0xffffff01: "no-export", 0xffffff02: "no-advertise",
		0xffffff03: "local-AS", 0xffff029a: ""} {
		if got := WellKnown(c); got != want {
			t.Errorf("%#x: got %q, want %q", c, got, want)
		}
	}
	path := []Segment{
		{ConfedSequence, []uint32{65001, 65002}}, {Sequence, []uint32{1, 1, 2}}, {Set, []uint32{3, 4}},
		{ConfedSet, []uint32{5, 6}},
	}
	if got, want := string(AppendPath(nil, path, '_')), "(65001_65002)_1_1_2_{3,4}_[5,6]"; got != want {
		t.Errorf("path %s, want %s", got, want)
	}
}

func TestBatchKeepsBundles(t *testing.T) {
	var b Batch
	for round := range 3 {
		b.Reset()
		for i := range 1000 {
			data := []byte{byte(i), byte(i >> 8), byte(round), 1, 2, 3, 4, 5, 6, 7}
			if n := b.AddBundle(Hash{uint64(i)}, data); int(n) != i {
				t.Fatalf("bundle %d is number %d", i, n)
			}
		}
		for i, x := range b.Bundles {
			if x.Hash != (Hash{uint64(i)}) || x.Data[0] != byte(i) || x.Data[1] != byte(i>>8) ||
				x.Data[2] != byte(round) {
				t.Fatalf("round %d: bundle %d has changed: %v", round, i, x)
			}
		}
	}
}

func TestHasher(t *testing.T) {
	h := NewHasher()
	a, b := h.Sum([]byte("one")), h.Sum([]byte("one"))
	if a != b {
		t.Error("one value, two hashes")
	}
	if a == h.Sum([]byte("two")) {
		t.Error("two values, one hash")
	}
	if a == NewHasher().Sum([]byte("one")) {
		t.Error("hashers share their seeds")
	}
}
