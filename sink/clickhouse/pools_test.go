package clickhouse

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Inserts do not wait for queries of our own that take long.
func TestInsertsDoNotWaitForQueries(t *testing.T) {
	for name, addrs := range map[string]int{"one server": 1, "two servers": 2} {
		t.Run(name, func(t *testing.T) {
			f := newFakeServer(t, nil)
			f.answer = func(n int, _ http.ResponseWriter, r *http.Request) { f.store(n, r) }
			gate, slow := make(chan struct{}), make(chan struct{}, 10)
			serve := http.HandlerFunc(f.serve)
			f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if strings.Contains(string(body), "slow") {
					slow <- struct{}{}
					<-gate
				}
				r.Body = io.NopCloser(strings.NewReader(string(body)))
				serve(w, r)
			})
			address := strings.TrimPrefix(f.URL, "http://")
			o := Options{Addrs: []string{address}, MaxConns: 1}
			for len(o.Addrs) < addrs {
				o.Addrs = append(o.Addrs, "127.0.0.1:1")
			}
			conn, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			ended := make(chan error, 1)
			go func() { ended <- conn.Exec(context.Background(), "SELECT slow") }()
			<-slow // it has the one connection for queries
			w := NewWriter(conn, fast())
			w.Enqueue(insertOf("t1"))
			until(t, "the insert goes in meanwhile", func() bool { return w.Stats().Delivered.Inserts == 1 })
			closeWriter(t, w)
			close(gate)
			<-ended
		})
	}
}
