package main

import (
	"bytes"
	"github.com/metranova/flow-collector/collector/config"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// A collector beside this one gets every datagram as it came, and one that is not there costs nothing but a count.
func TestServe_forwards(t *testing.T) {
	beside, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer beside.Close()
	_ = beside.SetReadBuffer(1 << 20)
	gone := freePort(t)
	r := startServe(t, "CLICKHOUSE_FLOW_TTL=", "HTTP_LISTEN="+freePort(t),
		"FORWARD_TO="+beside.LocalAddr().String()+","+gone)
	sent := payloads(t, "softflowd-v9")
	send(t, r.address, sent...)
	buffer := make([]byte, 1<<16)
	for i, want := range sent {
		_ = beside.SetReadDeadline(time.Now().Add(testPatience))
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
	waitFor(t, "the metrics to have "+want, func() bool {
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

func TestForwardTargets(t *testing.T) {
	for _, test := range []struct {
		name, listen, to, problem string
	}{
		{"another port of this host", ":2055", "127.0.0.1:2056", ""},
		{"another host", ":2055", "192.0.2.1:2055", ""},
		{"another address of this host", "127.0.0.1:2055", "127.0.0.2:2055", ""},
		{"itself", "127.0.0.1:2055", "127.0.0.1:2055", "that is where this collector listens"},
		{"itself by name", "localhost:2055", "localhost:2055", "that is where this collector listens"},
		{"itself, on all addresses", ":2055,:4739", "127.0.0.1:4739", "that is where this collector listens (:4739)"},
		{"itself, IPv6", "[::]:2055", "[::1]:2055", "that is where this collector listens"},
		{"nobody", ":2055", "no-such-host.invalid:2055", "no-such-host.invalid"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg, problems := config.Load(config.Source{Environ: []string{"LISTEN=" + test.listen, "FORWARD_TO=" + test.to}})
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			got, err := forwardTargets(cfg)
			if test.problem == "" {
				if err != nil || !slices.Equal(got, []netip.AddrPort{netip.MustParseAddrPort(test.to)}) {
					t.Errorf("%v, %v", got, err)
				}
			} else if err == nil || !strings.Contains(err.Error(), test.problem) {
				t.Errorf("error %v, want %q", err, test.problem)
			}
		})
	}
}
