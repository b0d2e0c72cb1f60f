package routing

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/metranova/flow-collector/enrich/rib"
)

// Real speakers whose routes do not fit: they are asked for them with ROUTE-REFRESH when another router has gone, and
// then have all their routes, in the same session if they answer.
func TestSpeakersRefresh(t *testing.T) {
	for i := range daemons {
		d := &daemons[i]
		t.Run(d.packet, func(t *testing.T) {
			s := open(t, Options{RIB: rib.Options{MaxRoutes: 4}})
			s.run(func() { s.refreshWait, s.refreshAnswer = time.Millisecond, 3*time.Second })
			_, port, err := net.SplitHostPort(s.Addresses()[0])
			if err != nil {
				t.Fatal(err)
			}
			reader := s.RIB().NewReader()
			first := connect(t, s, "127.0.0.2", local("192.0.2.2"))
			first.announce(7, "10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8", "13.0.0.0/8")
			expect(t, s, reader, "127.0.0.2", map[string]int{"13.1.2.3": 7})
			d.start(t, port, "")
			of := func(is func(*Session) bool) func() string {
				return func() string {
					all := s.Stats().Sessions
					for i := range all {
						if all[i].Address.String() == d.address && is(&all[i]) {
							return ""
						}
					}
					return fmt.Sprintf("sessions %+v", all)
				}
			}
			eventually(t, of(func(p *Session) bool { return p.Up && p.LeftOut > 1 }))
			first.withdraw("10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8", "13.0.0.0/8")
			eventually(t, of(func(p *Session) bool {
				return p.Up && p.LeftOut == 0 && p.Complete[0] && (p.Sessions == 1) != d.noRefresh
			}))
			want := map[string]int{"10.0.0.1": 7, "10.1.0.1": 7, "2001:db8::1": 7}
			if d.noIPv6 {
				delete(want, "2001:db8::1")
			}
			expect(t, s, reader, d.address, want)
		})
	}
}
