package lookingglass

import (
	"net/url"
	"testing"
)

// FuzzParse reads anything as the query of a URL. What is understood is written as a query that means the same.
func FuzzParse(f *testing.F) {
	f.Add("address=192.0.2.7&router=r1&table=vpn&view=bgp&all=1")
	f.Add("address=2001:db8::/32&exporter=fe80::1%25eth0&rd=0:64500:7&next_hop=::ffff:192.0.2.1&in=1&out=4294967295")
	f.Add("address=::ffff:192.0.2.0/120&table=1:192.0.2.1:7")
	f.Add("address=&address=1&%zz;")
	f.Fuzz(func(t *testing.T, text string) {
		values, _ := url.ParseQuery(text)
		q, err := Parse(values)
		if err != nil {
			if len(err.Error()) > 4*longValue+500 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		again, err := Parse(q.Values())
		if err != nil || again != q {
			t.Errorf("%q is %+v, and %+v when it is written: %v", text, q, again, err)
		}
	})
}
