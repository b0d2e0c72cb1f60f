package explore

import (
	"net/url"
	"reflect"
	"testing"
	"time"
)

// FuzzParse reads anything as the parameters of a page's address. The links of an accepted question ask the same.
func FuzzParse(f *testing.F) {
	for _, query := range []string{
		"by=src.as,dst.as&by=exporter&filter=proto+%3D+tcp&last=6h&unit=packets&view=sankey&top=12&before=week",
		"from=2026-03-05T14:05&to=2026-03-05+14:10&zone=Europe/Zurich",
		"from=1970-01-01T00:00:00%2B14:00&to=1970-02-01", "from=2026-03-05T14:05:00.9Z&to=2026-03-06",
		"zone=Local", "zone=../../etc/passwd", "by=a,b,c,d,e", "last=65535w", "top=-1", "filter=%00%ff",
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		q, err := Parse(values, noon)
		if err != nil || q.Zone != time.UTC { // a time of another zone may be there twice
			return
		}
		again, err := Parse(q.Values(), noon)
		if err != nil {
			t.Fatalf("%q is accepted, its link %q is not: %v", query, q.Values().Encode(), err)
		}
		q.From, q.To = q.From.Truncate(time.Second), q.To.Truncate(time.Second)
		if !again.From.Equal(q.From) || !again.To.Equal(q.To) {
			t.Errorf("%q is from %v to %v, its link from %v to %v", query, q.From, q.To, again.From, again.To)
		}
		again.From, again.To = q.From, q.To
		if !reflect.DeepEqual(q, again) {
			t.Errorf("%q is %+v, its link %+v", query, q, again)
		}
	})
}
