package exporter

import (
	"testing"
)

// message is what RecordSequence is told of one IPFIX message.
type message struct{ number, flows, options uint32 }

func TestRecordSequence(t *testing.T) {
	tests := map[string]struct {
		messages                    []message
		lost, duplicated, reordered uint64
		restarts                    uint64
	}{
		"as the RFC counts, options among the records": {
			messages: []message{{0, 4, 1}, {5, 6, 0}, {11, 3, 2}, {16, 1, 0}},
		},
		"counts itself and leaves options out, as softflowd": {
			messages: []message{{11, 11, 1}, {26, 15, 0}, {42, 16, 0}, {61, 19, 1}, {79, 18, 0}},
		},
		"leaves options out": {
			messages: []message{{0, 4, 1}, {4, 6, 0}, {10, 3, 2}, {13, 1, 0}},
		},
		"a gap, in records": {
			messages: []message{{0, 4, 0}, {4, 6, 0}, {10, 3, 0}, {20, 5, 0}, {25, 1, 0}},
			lost:     7,
		},
		"a gap of an exporter that counts itself": {
			messages: []message{{11, 11, 1}, {26, 15, 0}, {42, 16, 0}, {79, 18, 0}, {95, 16, 0}},
			lost:     19,
		},
		"two messages change places": {
			messages:  []message{{0, 4, 0}, {4, 6, 0}, {16, 5, 0}, {10, 6, 0}, {21, 1, 0}},
			reordered: 1,
		},
		"a message comes twice": {
			messages:   []message{{0, 4, 0}, {4, 6, 0}, {4, 6, 0}, {10, 1, 0}},
			duplicated: 1,
		},
		"the exporter began anew": {
			messages: []message{{5000, 4, 0}, {5004, 6, 0}, {0, 3, 0}, {3, 3, 0}},
			restarts: 1,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var s Stream
			var q RecordSequence
			for _, m := range test.messages {
				q.Observe(&s, m.number, m.flows, m.options)
			}
			for what, n := range map[string][2]uint64{
				"lost": {s.Lost.Load(), test.lost}, "duplicated": {s.Duplicated.Load(), test.duplicated},
				"reordered": {s.Reordered.Load(), test.reordered}, "restarts": {s.Restarts.Load(), test.restarts},
			} {
				if n[0] != n[1] {
					t.Errorf("%s: %d, want %d", what, n[0], n[1])
				}
			}
		})
	}
}

func TestRecordSequence_afterResync(t *testing.T) {
	var s Stream
	var q RecordSequence
	q.Observe(&s, 0, 4, 0)
	q.Resync() // a set of the message was not understood
	q.Observe(&s, 900, 4, 0)
	q.Observe(&s, 904, 4, 0)
	if s.Lost.Load() != 0 || s.Restarts.Load() != 0 {
		t.Errorf("lost %d, restarts %d; want none", s.Lost.Load(), s.Restarts.Load())
	}
}
