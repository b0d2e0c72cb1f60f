package check

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/sink/kafka/kafkatest"
)

func TestCheck_streams(t *testing.T) {
	cert, key := kafkatest.NewAuthority(t).Pair("127.0.0.1", time.Now().Add(time.Hour), "")
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	used := listener.Addr().String()
	cfg := testkit.ConfigFor(t, "LISTEN_TLS_CERT_FILE="+cert, "LISTEN_TLS_KEY_FILE="+key,
		"LISTEN_TCP="+testkit.FreePort(t)+","+used, "LISTEN_TLS="+testkit.FreePort(t),
		"FORWARD_TO=127.0.0.1:9")
	text := checked(t, cfg, (*checker).streams)
	for _, want := range []string{
		"ok       listen      TCP " + cfg.Listen.TCP[0], "warning  listen      TCP " + used + " is in use",
		"ok       listen      TLS " + cfg.Listen.TLS.Addresses[0],
		"datagrams are forwarded, but not what comes over TCP and TLS",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("check does not say %q:\n%s", want, text)
		}
	}
	for _, test := range []struct {
		after time.Duration
		want  string
	}{{-30 * 24 * time.Hour, "exporters need none"}, {0, "renew it"}, {2 * time.Hour, "expired at"}} {
		text := checked(t, cfg, func(c *checker) { c.certificate(time.Now().Add(test.after)) })
		if !strings.Contains(text, test.want) {
			t.Errorf("check does not say %q:\n%s", test.want, text)
		}
	}
	bad := *cfg
	bad.Listen.TLS.CertFile = bad.Listen.TLS.KeyFile
	if text := checked(t, &bad, (*checker).streams); !strings.Contains(text, "problem  listen.tls") {
		t.Errorf("check does not see a file without a certificate:\n%s", text)
	}
}
