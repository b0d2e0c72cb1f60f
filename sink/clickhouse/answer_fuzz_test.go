package clickhouse

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// given is a server that gives one answer.
type given struct {
	status         int
	header, values []string
	body           []byte
}

func (g *given) RoundTrip(*http.Request) (*http.Response, error) {
	h := http.Header{}
	for i, name := range g.header {
		if i < len(g.values) && g.values[i] != "" {
			h.Set(name, g.values[i])
		}
	}
	return &http.Response{StatusCode: g.status, Header: h, Body: io.NopCloser(bytes.NewReader(g.body)),
		ContentLength: int64(len(g.body))}, nil
}

// FuzzAnswer has anything as the answer to an insert. It is a success only if it is 200, of ClickHouse, without an
// exception and without a text.
func FuzzAnswer(f *testing.F) {
	f.Add(uint16(200), "1", "", "", "", []byte(nil))
	f.Add(uint16(200), "1", "{}", "241", "gzip", []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"))
	f.Add(uint16(200), "1", "", "", "",
		[]byte("\r\n__exception__\r\nabcdefghijklmnop\r\nCode: 242. DB::Exception: x\n9 a"+
			"\r\n__exception__\r\n"))
	f.Add(uint16(302), "", "", "", "", []byte("<html>"))
	f.Add(uint16(500), "", "", "x", "br", []byte("Code: 999999999. DB::Exception"))
	names := []string{queryIDHeader, summaryHeader, exceptionHeader, "Content-Encoding"}
	f.Fuzz(func(t *testing.T, status uint16, id, summary, code, encoding string, body []byte) {
		s := strictTransport{&given{int(status), names, []string{id, summary, code, encoding}, body}}
		r, err := http.NewRequest(http.MethodPost, "http://192.0.2.1/?query=INSERT+INTO+t+FORMAT+Native",
			strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := s.RoundTrip(r)
		if err != nil {
			if text := err.Error(); len(text) > 2*maxAnswer+1000 {
				t.Errorf("an error of %d bytes", len(text))
			}
			return
		}
		text, err := io.ReadAll(answer.Body)
		number, noNumber := strconv.Atoi(code)
		failed := code != "" && (noNumber != nil || number != 0)
		switch {
		case err != nil:
			t.Error(err)
		case answer.StatusCode == http.StatusOK && // the driver makes an error of everything else
			(id == "" && summary == "" || failed || len(text) > 0):
			t.Errorf("a success with the code %q and %d bytes", code, len(text))
		}
	})
}
