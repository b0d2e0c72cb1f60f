package netflow

import (
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
)

// Each simple element has a number and a field of its own, sets that field, and leaves opcodes for the others.
func TestSimpleElements(t *testing.T) {
	if opcodeCount+opcode(len(simpleElements)) < opcodeCount {
		t.Fatal("there are more opcodes than an opcode can count")
	}
	numbers, fields := map[uint16]bool{}, flow.Fields(0)
	for i, e := range simpleElements {
		if numbers[e.id] || e.cisco != 0 && numbers[e.cisco] || fields&e.sent != 0 || e.sent == 0 {
			t.Errorf("element %d: its number or its field is another's too", e.id)
		}
		numbers[e.id], numbers[e.cisco] = true, e.cisco != 0
		fields |= e.sent
		op := opcodeCount + opcode(i)
		if got := elements()[e.id].op; got != op {
			t.Errorf("element %d has the opcode %d, want %d", e.id, got, op)
		}
		length := e.length
		if length == 0 {
			length = 4
		}
		value := make([]byte, length)
		value[length-1] = 5
		var r flow.Record
		e.set(&r, value)
		if r.FlowLabel|r.PeerDstAS|r.PeerSrcAS|r.IngressVRF|r.EgressVRF|r.MPLSPseudowire == 0 && // 32 bits
			r.MPLSTopLabelType|r.ForwardingStatus|r.FlowEndReason|r.NATEvent|r.FirewallEvent == 0 && // 8 bits
			r.PostNATSrcPort|r.PostNATDstPort == 0 && r.MPLSRD == [8]byte{} {
			t.Errorf("element %d sets no field that this test knows: add it", e.id)
		}
	}
}
