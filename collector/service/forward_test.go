package service

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/collector/testkit"
)

// A collector beside this one gets every datagram as it came, and one that is not there costs nothing but a count.
func TestServe_forwards(t *testing.T) {
	beside, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer beside.Close()
	_ = beside.SetReadBuffer(1 << 20)
	gone := testkit.FreePort(t)
	r := startServe(t, "CLICKHOUSE_FLOW_TTL=", "HTTP_LISTEN="+testkit.FreePort(t),
		"FORWARD_TO="+beside.LocalAddr().String()+","+gone)
	sent := testkit.Payloads(t, "softflowd-v9")
	testkit.Send(t, r.address, sent...)
	buffer := make([]byte, 1<<16)
	for i, want := range sent {
		_ = beside.SetReadDeadline(time.Now().Add(testkit.Patience))
		n, err := beside.Read(buffer)
		if err != nil {
			t.Fatalf("datagram %d: %v", i, err)
		}
		if !bytes.Equal(buffer[:n], want) {
			t.Errorf("datagram %d came with other bytes", i)
		}
	}
	// They are counted once the kernel has them, which may be after they came here.
	want := `flow_collector_forwarded_datagrams_total{target="` + beside.LocalAddr().String() + `"} 10`
	testkit.WaitFor(t, "the metrics to have "+want, func() bool {
		_, metrics := getURL(t, "http://"+r.cfg.HTTP.Listen+"/metrics")
		return strings.Contains(metrics, want)
	})
	r.stop(t)
	for _, line := range []string{
		"230 rows written",
		"× datagrams not forwarded: nothing listens there (forward to " + gone + ")",
	} {
		if !strings.Contains(r.summary.String(), line) {
			t.Errorf("the summary has no %q:\n%s", line, &r.summary)
		}
	}
	if strings.Contains(r.summary.String(), "forward to "+beside.LocalAddr().String()) {
		t.Errorf("the summary has losses of a target that got all:\n%s", &r.summary)
	}
}
