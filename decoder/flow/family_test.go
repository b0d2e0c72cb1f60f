package flow

import "testing"

func TestFamily(t *testing.T) {
	for protocol, want := range map[Protocol]string{
		NetFlowV5: "netflow", NetFlowV9: "netflow", IPFIX: "netflow", SFlow5: "sflow", UnknownProtocol: "unknown",
	} {
		if got := protocol.Family(); got != want {
			t.Errorf("%v: %q, want %q", protocol, got, want)
		}
	}
}
