package route

import (
	"fmt"
	"testing"
)

func TestFilter(t *testing.T) {
	all := func() *Attributes {
		return &Attributes{Communities: []uint32{64500<<16 | 64, 64500<<16 | 640, 64500<<16 | 64001, 64501<<16 | 64,
			0xffffff01},
			Extended: []uint64{0x0002_fbf4_0000_0007, 0x0003_fbf4_0000_0007},
			Large:    []Large{{64500, 1, 2}, {64500, 11, 3}}}
	}
	for _, test := range []struct {
		name                      string
		standard, extended, large []string
		want                      string
	}{
		{"all", nil, nil, nil, "[64500:64 64500:640 64500:64001 64501:64 65535:65281] [RT:64500:7 SoO:64500:7] " +
			"[64500:1:2 64500:11:3]"},
		{"what begins with it", []string{"64500:64"}, nil, nil,
			"[64500:64 64500:640 64500:64001] [RT:64500:7 SoO:64500:7] [64500:1:2 64500:11:3]"},
		{"dots", []string{"64500:64..."}, nil, nil, "[64500:64001] [RT:64500:7 SoO:64500:7] [64500:1:2 64500:11:3]"},
		{"stars", []string{"*:64", "645*:6*0"}, []string{"RT:*"}, []string{"*:1:*"},
			"[64500:64 64500:640 64501:64] [RT:64500:7] [64500:1:2]"},
		{"a name", []string{"no-export"}, nil, nil,
			"[65535:65281] [RT:64500:7 SoO:64500:7] [64500:1:2 64500:11:3]"},
		{"none", []string{"1:1"}, []string{"x"}, []string{"64500:1:2:"}, "[] [] []"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := all()
			NewFilter(test.standard, test.extended, test.large).Keep(a)
			got := fmt.Sprintf("%s %s %s", texts(a.Communities, AppendCommunity), texts(a.Extended, AppendExtended),
				texts(a.Large, AppendLarge))
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func texts[T any](all []T, appendTo func([]byte, T) []byte) (list []string) {
	for _, v := range all {
		list = append(list, string(appendTo(nil, v)))
	}
	return list
}
