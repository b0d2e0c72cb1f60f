package setup

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/collector/config"
)

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
			cfg, problems := config.Load(config.Source{Environ: []string{"LISTEN=" + test.listen,
				"FORWARD_TO=" + test.to}})
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
