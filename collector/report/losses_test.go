package report

import (
	"strings"
	"testing"

	"github.com/metranova/flow-collector/collector/listen"
)

// What is advised helps: more memory for a socket only where it has less than was asked for.
func TestSocketLosses(t *testing.T) {
	tests := []struct {
		name      string
		stats     listen.Stats
		want, not string
		howMany   uint64
	}{
		{name: "nothing", stats: listen.Stats{Datagrams: 5}},
		{name: "a buffer that was given in full", stats: listen.Stats{KernelDrops: 3}, want: "listen.workers",
			not: "rmem_max", howMany: 3},
		{name: "a smaller buffer", stats: listen.Stats{KernelDrops: 3, ShortBuffer: true},
			want: "raise net.core.rmem_max", not: "listen.workers", howMany: 3},
		{name: "a stop", stats: listen.Stats{Late: 2}, want: "while the collector stopped", howMany: 2},
		{name: "overload", stats: listen.Stats{OverShare: 5}, want: "more than their share", howMany: 5},
		{name: "refused", stats: listen.Stats{Refused: 4}, want: "may not send", howMany: 4},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			losses := statsLosses(&test.stats)
			if test.want == "" {
				if len(losses) != 0 {
					t.Errorf("losses: %+v", losses)
				}
				return
			}
			if len(losses) != 1 || losses[0].Count != test.howMany || !strings.Contains(losses[0].What, test.want) ||
				test.not != "" && strings.Contains(losses[0].What, test.not) {
				t.Errorf("losses: %+v, want %q of %d without %q", losses, test.want, test.howMany, test.not)
			}
		})
	}
}
