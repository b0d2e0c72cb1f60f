package compare

import (
	"bytes"
	"testing"

	"github.com/metranova/flow-collector/enrich"
)

// FuzzMessages adds up anything as messages of pmacct. Each message is in one cell, or is left out for a reason.
func FuzzMessages(f *testing.F) {
	f.Add([]byte(`{"peer_ip_src":"192.0.2.1","ip_src":"198.51.100.1","ip_dst":"203.0.113.1","port_src":1,` +
		`"port_dst":2,"iface_in":1,"iface_out":1073741823,"timestamp_start":"1700000040.5","bytes":100,"packets":1,` +
		`"writer_id":"sfacctd"}` + "\n" + `{"ip_src":"x","ip_dst":"","timestamp_arrival":"1.","bytes":-1}`))
	f.Add([]byte(`{"ip_src":"::","ip_dst":"::","timestamp_start":"9223372036854775807.999"}{}[]1`))
	f.Add([]byte(`{"ip_src":"::","ip_dst":"::","timestamp_start":"-1.-9","bytes":18446744073709551615,"packets":1e3}`))
	f.Add([]byte(`{"event_type":"purge_init","writer_id":"a"} {"ip_src":1`))
	snapshot, err := enrich.NewBuilder().Build()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, by := range []By{ByInterface, BySource} {
			a := NewAccount("pmacct")
			a.By = by
			_ = a.AddMessages(bytes.NewReader(data), snapshot)
			n := uint64(0)
			for _, s := range a.Cells {
				n += s.Flows
			}
			for _, left := range a.Left {
				n += left
			}
			if len(a.Cells) > len(data) || len(a.Left) > 3 || n > uint64(len(data)) {
				t.Errorf("%d messages in %d cells, left out: %v", n, len(a.Cells), a.Left)
			}
		}
	})
}
