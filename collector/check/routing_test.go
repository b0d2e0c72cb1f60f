package check

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/collector/testkit"
)

// peerTable is a record of MRT that has no peers (RFC 6396 section 4.3.1).
const peerTable = "\x00\x00\x00\x00\x00\x0d\x00\x01\x00\x00\x00\x08" + "\x00\x00\x00\x00\x00\x00\x00\x00"

// Ports, keys, files and caches of routing are tried, and neighbours at public addresses need a key.
func TestCheck_routing(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	free := testkit.FreePort(t)
	cfg := testkit.ConfigFor(t, "BGP_LISTEN="+free+","+listener.Addr().String(),
		"BGP_NEIGHBORS=198.51.100.1,203.0.113.0/24,10.0.0.0/8,192.168.1.1,100.64.0.1,2001:db8::1,fd00::1",
		"BGP_MD5_FILE="+write("keys", "203.0.113.0/24, secret\n"),
		"BMP_CONNECT="+listener.Addr().String()+",127.0.0.1:1",
		"MRT_FILES=one:"+write("one.mrt", peerTable)+",two:"+filepath.Join(dir, "two.mrt")+
			",three:"+write("three.mrt", strings.Repeat("no routes ", 100))+",four:"+write("four.mrt", ""),
		"RPKI_CACHES=127.0.0.1:1", "RPKI_FILE="+write("roas.json", `{"roas":[{"prefix":"10.0.0.0/8","asn":1}]}`))
	text := checked(t, cfg, func(c *checker) { c.routing(t.Context()) })
	for _, want := range []string{
		"ok       routing  BGP " + free, "warning  routing  BGP " + listener.Addr().String() + " is in use",
		"have no TCP-MD5 key, so that others can send in their name: 198.51.100.1, 2001:db8::1/128 " +
			"(routing.bgp.md5_file)",
		"ok       routing  the router " + listener.Addr().String() + " can be reached for BMP",
		"warning  routing  the router 127.0.0.1:1 cannot be reached for BMP",
		"ok       routing  the MRT file one", "warning  routing  the MRT file two is not there yet",
		"problem  routing  the MRT file three: " + filepath.Join(dir, "three.mrt") + ": not an MRT file: record of ",
		"problem  routing  the MRT file four: " + filepath.Join(dir, "four.mrt") + ": not an MRT file: none of",
		"warning  routing  the RPKI cache 127.0.0.1:1: ", "ok       routing  the RPKI file has 1 payloads",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("check does not say %q:\n%s", want, text)
		}
	}
}

// Exporters that a running collector has heard need a router, a rule or a device.
func TestCheck_routersOfExporters(t *testing.T) {
	answers := map[string]string{
		"/exporters.json": `{"exporters":[{"address":"192.0.2.1","records":1},{"address":"192.0.2.2","records":1},` +
			`{"address":"192.0.2.3","records":1},{"address":"192.0.2.4","records":1},` +
			`{"address":"192.0.2.4","records":9},` +
			`{"address":"192.0.2.5","records":0},{"address":"192.0.2.6","records":1}]}`,
		"/routing.json": `{"exporters":[{"address":"192.0.2.3","router":"core3"},{"address":"192.0.2.4","router":""}]}`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(answers[r.URL.Path]))
	}))
	defer server.Close()
	at := strings.TrimPrefix(server.URL, "http://")
	cfg := testkit.ConfigFor(t, "HTTP_LISTEN="+at, "BGP_LISTEN="+testkit.FreePort(t), "BGP_NEIGHBORS=192.0.2.1/32",
		"ROUTING_AGENTS=192.0.2.2:192.0.2.1")
	text := checked(t, cfg, func(c *checker) { c.routing(t.Context()) })
	if want := "has the address of these exporters: 192.0.2.4, 192.0.2.6\n"; !strings.Contains(text, want) {
		t.Errorf("check does not say %q:\n%s", want, text)
	}
}
