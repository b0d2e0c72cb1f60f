package routing

import (
	"net/netip"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/capture"
	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/bmp"
)

// Sessions in captures fill the table at once, cut as the segments happen to be, and other streams are passed over.
func TestRecorded(t *testing.T) {
	r, err := OpenRecorded(Options{Log: zap.NewNop(), HoldTime: time.Hour, KeepStale: 24 * time.Hour,
		BMP: BMPOptions{KeepStale: 24 * time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	reader := r.RIB().NewReader()
	to := netip.MustParseAddrPort("192.0.2.250:179")
	first := map[netip.AddrPort]bool{}
	feed := func(from string, b []byte, lost bool) {
		at := netip.MustParseAddrPort(from)
		r.Segment(capture.Segment{From: at, To: to, Data: b, First: !first[at], Lost: lost})
		first[at] = true
	}
	update := func(prefix string) []byte {
		a := []byte{0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xe9, 0x40, 3, 4, 192, 0, 2, 1, 0x80, 4, 4, 0, 0, 0, 7}
		p := nlri([]string{prefix})
		b := bgp.AppendHeader(nil, bgp.UpdateType, 4+len(a)+len(p))
		return append(append(append(b, 0, 0, 0, byte(len(a))), a...), p...)
	}
	is := func(when, exporter, to string, want int) {
		t.Helper()
		if got := lookup(r.station, reader, exporter, to); got != want {
			t.Errorf("%s: %s to %s: route %d, want %d", when, exporter, to, got, want)
		}
	}

	open := local("192.0.2.77")
	stream := append(append(open.Append(nil), bgp.AppendKeepalive(nil)...), update("10.0.0.0/8")...)
	feed("192.0.2.1:4000", stream[:30], false)
	feed("192.0.2.1:4000", stream[30:len(stream)-1], false)
	is("a message that is not whole", "192.0.2.1", "10.1.2.3", -1)
	feed("192.0.2.1:4000", stream[len(stream)-1:], false)
	is("BGP", "192.0.2.1", "10.1.2.3", 7)
	is("BGP", "192.0.2.77", "10.1.2.3", 7)

	loc := peerOf("", 0, 0)
	stream = bmp.AppendMessage(nil, bmp.Initiation, bmp.AppendText(nil, 2, "router2"))
	stream = bmp.AppendMessage(stream, bmp.RouteMonitoring, loc.Append(nil), update("11.0.0.0/8"))
	feed("192.0.2.2:4000", stream, false)
	is("BMP", "192.0.2.2", "11.1.2.3", 7)

	feed("192.0.2.3:4000", []byte("GET / HTTP/1.1\r\n\r\n"), false)
	feed("192.0.2.3:4000", bmp.AppendMessage(nil, bmp.Initiation), false)
	if s := r.Stats(); len(s.Sessions) != 1 || len(s.BMP.Sessions) != 1 || s.RIB.Routes != 2 {
		t.Errorf("%+v", s)
	}

	feed("192.0.2.1:4000", update("12.0.0.0/8"), true) // what was missing may have withdrawn routes: they are of before
	is("bytes are missing", "192.0.2.1", "12.1.2.3", -1)
	is("bytes are missing", "192.0.2.1", "10.1.2.3", 7)
	r.Segment(capture.Segment{From: netip.MustParseAddrPort("192.0.2.2:4000"), To: to, End: true})
	is("the end", "192.0.2.2", "11.1.2.3", 7)
	if s := r.Stats(); s.Sessions[0].Up || s.BMP.Sessions[0].Up {
		t.Errorf("%+v", s)
	}
}
