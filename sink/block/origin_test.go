package block

import (
	"fmt"
	"slices"
	"testing"

	"github.com/metranova/flow-collector/enrich"
)

// A column of steps is encoded like one that is told every row.
func TestSteps(t *testing.T) {
	for _, values := range [][]string{
		{"usual", "usual"}, {"a", "a", "a"}, {"usual", "a", "a", "usual", "b"}, {"a", "usual"}, {"a", "b", "a", "b"},
	} {
		t.Run(fmt.Sprint(values), func(t *testing.T) {
			c := steps{usual: "usual"}
			for range 2 { // the second block reuses memory
				c.reset()
				var want lowCardinality
				want.reset()
				last := "usual"
				for row, v := range values {
					want.add(v)
					if v != last {
						c.change(row, v)
						last = v
					}
				}
				var got, expected output
				c.encode(&got, len(values))
				want.encode(&expected, len(values))
				if !slices.Equal(got.data, expected.data) {
					t.Errorf("encoded as %q, want %q", got.data, expected.data)
				}
			}
		})
	}
}

// Rows of an exporter with a label have it; those before and after have the block's.
func TestOrigins(t *testing.T) {
	var o origins
	o.usual(&Layout{CollectorID: "us", PolicyOriginator: "o", PolicyLevel: "l"})
	o.change(3, &enrich.Origin{CollectorID: "them", PolicyOriginator: "p", PolicyLevel: "m"})
	o.change(5, nil)
	var got, want output
	o.policyLevel.encode(&got, 6)
	var c lowCardinality
	c.reset()
	for _, v := range []string{"l", "l", "l", "m", "m", "l"} {
		c.add(v)
	}
	c.encode(&want, 6)
	if !slices.Equal(got.data, want.data) {
		t.Errorf("encoded as %q, want %q", got.data, want.data)
	}
}
