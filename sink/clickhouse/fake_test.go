package clickhouse

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	chproto "github.com/ClickHouse/ch-go/proto"
	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// fakeServer is not ClickHouse: it greets the driver and answers inserts as a test says, for failures that the
// real engine does not have on demand. What a real engine makes of our inserts is in engine_test.go.
type fakeServer struct {
	*httptest.Server
	// answer is called for every insert, in turn, with its number from 0.
	answer func(n int, w http.ResponseWriter, r *http.Request)

	mu      sync.Mutex
	inserts []fakeInsert
}

// fakeInsert is an insert that the fake server got.
type fakeInsert struct {
	query, token string
	settings     map[string]string
	data         string
}

func newFakeServer(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *fakeServer {
	t.Helper()
	f := &fakeServer{answer: answer}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

func (f *fakeServer) serve(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	w.Header().Set("X-ClickHouse-Query-Id", "1")
	if insert := query.Get("query"); strings.HasPrefix(insert, "INSERT") {
		f.mu.Lock()
		n := len(f.inserts)
		in := fakeInsert{query: insert, token: query.Get("insert_deduplication_token"), settings: map[string]string{}}
		for name := range query {
			in.settings[name] = query.Get(name)
		}
		f.inserts = append(f.inserts, in)
		answer := f.answer
		f.mu.Unlock()
		answer(n, w, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	switch {
	case strings.Contains(string(body), "displayName()"):
		writeBlock(w, []string{"displayName()", "version()", "revision()", "timezone()"},
			[]string{"String", "String", "UInt32", "String"}, "fake", "26.7.1.1", uint32(54460), "UTC")
	case string(body) == "SELECT 1":
		writeBlock(w, []string{"1"}, []string{"UInt8"}, uint8(1))
	}
}

// writeBlock writes one row in Native format.
func writeBlock(w http.ResponseWriter, names, types []string, values ...any) {
	block := proto.NewBlock()
	for i := range names {
		if err := block.AddColumn(names[i], column.Type(types[i])); err != nil {
			panic(err)
		}
	}
	if err := block.Append(values...); err != nil {
		panic(err)
	}
	var buffer chproto.Buffer
	if err := block.Encode(&buffer, chgo.ClientTCPProtocolVersion); err != nil {
		panic(err)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(buffer.Buf)))
	_, _ = w.Write(buffer.Buf)
}

// store reads the body of an insert as a server that takes it does, and keeps it.
func (f *fakeServer) store(n int, r *http.Request) {
	data, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inserts[n].data = string(data)
}

func (f *fakeServer) got() []fakeInsert {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]fakeInsert(nil), f.inserts...)
}

// exception answers as ClickHouse does when a query fails.
func exception(w http.ResponseWriter, status, code int, message string) {
	w.Header().Set("X-ClickHouse-Exception-Code", strconv.Itoa(code))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "Code: "+strconv.Itoa(code)+". DB::Exception: "+message)
}

func (f *fakeServer) open(t *testing.T) driver.Conn {
	t.Helper()
	conn, err := Open(context.Background(), Options{Addrs: []string{strings.TrimPrefix(f.URL, "http://")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// observed is a log, and all its lines so far as one text.
func observed() (*zap.Logger, func() string) {
	core, logs := observer.New(zapcore.InfoLevel)
	return zap.New(core), func() string {
		var all []string
		for _, e := range logs.All() {
			all = append(all, fmt.Sprint(e.Message, e.ContextMap()))
		}
		return strings.Join(all, "\n")
	}
}
