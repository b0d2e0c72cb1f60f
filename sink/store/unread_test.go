package store_test

import (
	"io"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/metranova/flow-collector/sink/store/storetest"
)

// TestHostile_bodyNeverSent has clients that announce a body which they never send, with requests that are answered
// without reading it. Each gets its answer, and its connection ends.
func TestHostile_bodyNeverSent(t *testing.T) {
	base := storetest.Start(t)
	at, err := url.Parse(base)
	must(t, err)
	for name, head := range map[string]string{
		"a ping":            "GET /ping HTTP/1.1\r\nHost: localhost",
		"an unknown path":   "POST /nothing HTTP/1.1\r\nHost: localhost",
		"an unknown method": "PUT / HTTP/1.1\r\nHost: localhost",
		"a preflight":       "OPTIONS / HTTP/1.1\r\nHost: localhost",
		"an unknown host":   "POST / HTTP/1.1\r\nHost: evil.example",
		"a wrong password":  "POST /?password=wrong HTTP/1.1\r\nHost: localhost",
		"no known encoding": "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: x",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", at.Host)
			must(t, err)
			defer conn.Close()
			must(t, conn.SetDeadline(time.Now().Add(time.Minute)))
			_, err = io.WriteString(conn, head+"\r\nContent-Length: 1000\r\n\r\n")
			must(t, err)
			if answer, err := io.ReadAll(conn); err != nil || len(answer) == 0 {
				t.Errorf("%d bytes of an answer, then %v", len(answer), err)
			}
		})
	}
}
