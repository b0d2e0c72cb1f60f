package store_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/sink/store/storetest"
)

// TestHostile_rawRequests sends what only programs send that write their own HTTP, and browsers at the hand of a page:
// other forms of Host, other methods, broken framing. None of them reads the table, writes or runs anything.
func TestHostile_rawRequests(t *testing.T) {
	base := storetest.Start(t)
	run(t, base, "CREATE TABLE plain (x String) ENGINE = MergeTree ORDER BY x")
	run(t, base, "INSERT INTO plain VALUES ('"+secretText+"')")
	at, err := url.Parse(base)
	must(t, err)
	port := ":" + at.Port()
	const write = "INSERT INTO plain SELECT 'written'"
	read, insert := "/?query="+url.QueryEscape("SELECT x FROM plain"), "/?query="+url.QueryEscape(write)
	// request is one of HTTP/1.1 with the store's own name, if the headers do not begin with another.
	request := func(first, body string, headers ...string) string {
		if len(headers) == 0 || !strings.HasPrefix(headers[0], "Host") {
			headers = append([]string{"Host: " + at.Host}, headers...)
		}
		return first + " HTTP/1.1\r\n" + strings.Join(append(headers, "Connection: close"), "\r\n") + "\r\n\r\n" + body
	}
	named := func(host string) string { return request("GET "+read, "", "Host: "+host) }
	length := "Content-Length: " + strconv.Itoa(len(write))
	post := func(headers ...string) string { return request("POST /", write, append(headers, length)...) }
	const origin, site = "Origin: https://evil.example", "Sec-Fetch-Site: cross-site"
	const part = "--b\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\n" + write + "\r\n--b--\r\n"
	form := "query=" + url.QueryEscape(write)
	for name, text := range map[string]string{
		"a rebound name with a trailing dot":   named("evil.example." + port),
		"a rebound name without a port":        named("evil.example"),
		"a rebound name that begins like ours": named("localhost.evil.example" + port),
		"a rebound name before an @":           named("127.0.0.1@evil.example" + port),
		"a rebound name behind a user":         named("evil.example@127.0.0.1" + port),
		"an IPv6 literal of another host":      named("[2001:db8::7]" + port),
		"an IPv6 literal with a zone":          named("[fe80::1%25eth0]" + port),
		"an IPv4 address in IPv6":              named("[::ffff:192.0.2.1]" + port),
		"an address in another notation":       named("0x7f.1" + port),
		"an address as a number":               named("2130706433" + port),
		"any address":                          named("0.0.0.0" + port),
		"an empty name":                        named(""),
		"a null byte in the name":              named("127.0.0.1\x00evil.example" + port),
		"two names":                            request("GET "+read, "", "Host: "+at.Host, "Host: evil.example"),
		"no name":                              "GET " + read + " HTTP/1.1\r\n\r\n",
		"an absolute URL of another host":      request("GET http://evil.example"+read, ""),
		"HTTP/1.0 without a name":              "GET " + read + " HTTP/1.0\r\n\r\n",
		"HTTP/0.9":                             "GET " + read + "\r\n\r\n",
		"HTTP/2 by force":                      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"a name that a proxy is said to have got": request("GET "+read, "", "Host: evil.example",
			"X-Forwarded-Host: "+at.Host),
		"a page's statement as text":             post(origin, site, "Content-Type: text/plain"),
		"a page's statement by an older browser": post(origin),
		"a page's statement without an origin":   post("Origin: null"),
		"an origin in a folded line":             post("Origin:\r\n https://evil.example"),
		"a second origin":                        post("Origin: http://"+at.Host, origin),
		"a page's statement as a form": request("POST /", form, origin, site,
			"Content-Type: application/x-www-form-urlencoded", "Content-Length: "+strconv.Itoa(len(form))),
		"a page's statement as a file": request("POST /", part, origin, site,
			"Content-Type: multipart/form-data; boundary=b", "Content-Length: "+strconv.Itoa(len(part))),
		"a method in a header": request("GET "+insert, "", "X-HTTP-Method-Override: POST", "X-HTTP-Method: POST"),
		"a method in the URL":  request("GET "+insert+"&_method=POST&method=POST", ""),
		"a hidden parameter":   request("GET "+strings.Replace(insert, "query", "%71uery", 1), ""),
		"a WebSocket": "GET " + read + " HTTP/1.1\r\nHost: " + at.Host + "\r\n" + origin +
			"\r\nConnection: Upgrade\r\n" +
			"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		"an event stream": request("GET "+read, "", origin, site, "Accept: text/event-stream"),
		"a preflight of a public page": request("OPTIONS /", "", origin, site, "Access-Control-Request-Method: POST",
			"Access-Control-Request-Private-Network: true", "Access-Control-Request-Local-Network: true"),
		"a method that nobody knows": request("QUERY /", write, length),
		"TRACE":                      request("TRACE /", "", "X-Secret: "+secretText),
		"CONNECT":                    request("CONNECT "+at.Host, ""),
		"two lengths":                request("POST /", write, "Content-Length: 1", length),
		"a length and chunks":        request("POST /", "3\r\n"+write, origin, length, "Transfer-Encoding: chunked"),
		"a chunk of a negative size": request("POST /", "-1\r\n"+write, "Transfer-Encoding: chunked"),
		"a chunk larger than all":    request("POST /", "ffffffffffffffff\r\n"+write, "Transfer-Encoding: chunked"),
		"an unknown framing":         request("POST /", write, "Transfer-Encoding: identity, chunked"),
		"a header larger than all":   request("GET "+read, "", "X-Long: "+strings.Repeat("x", 4<<20)),
		"a URL larger than all":      request("GET "+read+strings.Repeat("x", 4<<20), ""),
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", at.Host)
			must(t, err)
			defer conn.Close()
			must(t, conn.SetDeadline(time.Now().Add(time.Minute)))
			go func() { _, _ = io.WriteString(conn, text) }()
			answer, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, 1<<20)), nil)
			if err != nil {
				return // the connection is closed without an answer
			}
			body, _ := io.ReadAll(answer.Body)
			if strings.Contains(string(body), secretText) {
				t.Error("the table was read")
			}
			if answer.StatusCode < http.StatusBadRequest && answer.StatusCode != http.StatusNoContent {
				t.Errorf("answered %s: %.200q", answer.Status, body)
			}
			for header := range answer.Header {
				if strings.HasPrefix(header, "Access-Control-Allow") {
					t.Errorf("the answer has %s: %s", header, answer.Header.Get(header))
				}
			}
		})
	}
	if got := run(t, base, "SELECT count(), any(x) FROM plain"); got != "1\t"+secretText+"\n" {
		t.Errorf("the table has %q", got)
	}
}
