package top

import (
	"strings"
	"testing"
)

const said = `{"collector": {"version": "v1", "collector_id": "lab", "now": "2026-01-01T00:01:00Z", "started": ` +
	`"2026-01-01T00:00:00Z",
 "ready": true, "flows_per_second": 1300.4, "bytes_per_second": 125000, "rows_written": 7, "listen": "UDP :2055", ` +
	`"verdicts": []},
 "exporters": [
  {"address": "192.0.2.1", "device": "core1", "protocol": "ipfix", "domain": 3, "last_seen": "2026-01-01T00:00:59Z",
   "flows_per_second": 300, "sampling": {"rate": 1000}, "verdicts": []},
  {"address": "192.0.2.2", "device": "\u001b[31mevil", "protocol": "sflow", "last_seen": "2026-01-01T00:00:30Z",
   "flows_per_second": 1000, "loss_percent": 2.5, "verdicts": [{"severity": "problem", "text": "lost"}, {"severity": ` +
	`"note", "text": "x"}]}]}`

func TestWrite(t *testing.T) {
	var out strings.Builder
	if err := Write(&out, []byte(said), Size{}); err != nil {
		t.Fatal(err)
	}
	want := `flow-collector v1 lab, up 1m0s, ready
1300 flows/s now; in the last minute 0.0 datagrams/s, 1.0 Mbit/s of exports
rows: 7 written, 0 waiting, 0 on disk, 0 lost

EXPORTER   DEVICE     PROTOCOL  DOMAIN  FLOWS/S  DATAGRAMS/S  SAMPLING  LOSS    LAST SEEN  WHAT IS WRONG
192.0.2.2  ?[31mevil  sflow     0       1000     0.0          ?         2.50 %  30s ago    problem: lost (and 1 more)
192.0.2.1  core1      ipfix     3       300      0.0          1:1000    -       1s ago     
`
	if out.String() != want {
		t.Errorf("wrote\n%s\nwant\n%s", &out, want)
	}
	out.Reset()
	if err := Write(&out, []byte(said), Size{Columns: 20, Rows: 6}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 5 || lines[4] != "… 3 more lines" || !strings.HasSuffix(lines[0], "…") {
		t.Errorf("a small screen has\n%s", &out)
	}
}
