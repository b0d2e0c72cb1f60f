package service

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/sink/kafka/kafkatest"
)

// ipfixMessage is an IPFIX message of now with some sets.
func ipfixMessage(domain uint32, sets ...[]byte) []byte {
	body := slices.Concat(sets...)
	m := binary.BigEndian.AppendUint16(nil, 10)
	m = binary.BigEndian.AppendUint16(m, uint16(16+len(body)))
	m = binary.BigEndian.AppendUint32(m, uint32(time.Now().Unix()))
	m = binary.BigEndian.AppendUint32(m, 0)
	m = binary.BigEndian.AppendUint32(m, domain)
	return append(m, body...)
}

func ipfixSet(id int, content ...[]byte) []byte {
	body := slices.Concat(content...)
	s := binary.BigEndian.AppendUint16(nil, uint16(id))
	s = binary.BigEndian.AppendUint16(s, uint16(4+len(body)))
	return append(s, body...)
}

// Information elements of the tests' templates, all of 4 bytes.
const sourceAddress, destAddress, octets, packets = 8, 12, 1, 2

func ipfixTemplate(id int, elements ...int) []byte {
	t := binary.BigEndian.AppendUint16(nil, uint16(id))
	t = binary.BigEndian.AppendUint16(t, uint16(len(elements)))
	for _, e := range elements {
		t = binary.BigEndian.AppendUint16(t, uint16(e))
		t = binary.BigEndian.AppendUint16(t, 4)
	}
	return ipfixSet(2, t)
}

func words(values ...uint32) (b []byte) {
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

func connect(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func put(t *testing.T, conn net.Conn, messages ...[]byte) {
	t.Helper()
	if _, err := conn.Write(slices.Concat(messages...)); err != nil {
		t.Fatal(err)
	}
}

// certificate writes files for TLS on this host, and returns a configuration for clients that trusts them.
func certificate(t *testing.T) (environ []string, client *tls.Config) {
	t.Helper()
	a := kafkatest.NewAuthority(t)
	cert, key := a.Pair("127.0.0.1", time.Now().Add(time.Hour), "")
	data, err := os.ReadFile(a.File())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(data)
	return []string{"LISTEN_TLS_CERT_FILE=" + cert, "LISTEN_TLS_KEY_FILE=" + key}, &tls.Config{RootCAs: roots}
}

func TestStreams_rowsOverTCPAndTLS(t *testing.T) {
	plain, secure := testkit.FreePort(t), testkit.FreePort(t)
	environ, client := certificate(t)
	r := startServe(t, append(environ, "CLICKHOUSE_FLOW_TTL=", "LISTEN_TCP="+plain, "LISTEN_TLS="+secure)...)
	put(t, connect(t, plain), testkit.Payloads(t, "softflowd-ipfix")...)
	conn, err := tls.Dial("tcp", secure, client)
	if err != nil {
		t.Fatal(err)
	}
	put(t, conn, testkit.Payloads(t, "softflowd-ipfix")...)
	conn.Close()
	testkit.Send(t, r.address, testkit.Payloads(t, "softflowd-ipfix")...) // and over UDP, as ever
	testkit.WaitFor(t, "the rows",
		func() bool { return testkit.Ask(t, r.cfg, "SELECT count() FROM data_flow") == "690" })
	r.stop(t)
	if !strings.Contains(r.summary.String(), "nothing lost") {
		t.Errorf("the summary says:\n%s", &r.summary)
	}
}

// Connections of one address and one observation domain have templates of their own, and one that comes back has none.
func TestStreams_templatesOfEachConnection(t *testing.T) {
	address := testkit.FreePort(t)
	r := startServe(t, "LISTEN_TCP="+address)
	const domain = 7
	one, other := connect(t, address), connect(t, address)
	put(t, one, ipfixMessage(domain, ipfixTemplate(256, sourceAddress, destAddress, octets, packets)))
	put(t, other, ipfixMessage(domain, ipfixTemplate(256, packets, octets, destAddress, sourceAddress)))
	from, to := uint32(0xc0000201), uint32(0xc6336401) // 192.0.2.1, 198.51.100.1
	for range 3 {
		put(t, one, ipfixMessage(domain, ipfixSet(256, words(from, to, 1000, 10))))
		put(t, other, ipfixMessage(domain, ipfixSet(256, words(20, 2000, to, from))))
	}
	one.Close()
	again := connect(t, address)
	put(t, again, ipfixMessage(domain, ipfixSet(256, words(1, 2, 3, 4))))
	testkit.WaitFor(t, "the rows", func() bool { return testkit.Ask(t, r.cfg, "SELECT count() FROM data_flow") == "6" })
	r.stop(t)
	got := testkit.Ask(t, r.cfg, `SELECT toString(src_ip), bit_count / 8, packet_count, count() FROM data_flow
		GROUP BY ALL ORDER BY ALL`)
	if want := "::ffff:192.0.2.1\t1000\t10\t3\n::ffff:192.0.2.1\t2000\t20\t3"; got != want {
		t.Errorf("rows are\n%s\nwant\n%s", got, want)
	}
	if want := "lost: 1 × no_template (127.0.0.1 ipfix domain 7)"; !strings.Contains(r.summary.String(), want) {
		t.Errorf("the summary has no %q:\n%s", want, &r.summary)
	}
}

func TestStreams_badConnectionsAreCounted(t *testing.T) {
	address := testkit.FreePort(t)
	r := startServe(t, "LISTEN_TCP="+address, "HTTP_LISTEN="+testkit.FreePort(t))
	garbage, cut := connect(t, address), connect(t, address)
	put(t, garbage, []byte("GET / HTTP/1.1\r\n\r\n"))
	put(t, cut, ipfixMessage(1, make([]byte, 100))[:50])
	cut.Close()
	url := "http://" + r.cfg.HTTP.Listen
	testkit.WaitFor(t, "the metrics", func() bool {
		_, text := getURL(t, url+"/metrics")
		return strings.Contains(text,
			`flow_collector_connections_ended_total{reason="not_ipfix",source="127.0.0.1"} 1`) &&
			strings.Contains(text, `flow_collector_connections_ended_total{reason="cut",source="127.0.0.1"} 1`) &&
			strings.Contains(text, `flow_collector_connections_accepted_total 2`)
	})
	testkit.WaitFor(t, "the page", func() bool {
		_, text := getURL(t, url+"/exporters.json")
		return strings.Contains(text, "2 connections refused or closed")
	})
	if _, page := getURL(t, url+"/exporters"); !strings.Contains(page, "<dt>connections</dt>") {
		t.Errorf("the page has no connections:\n%s", page)
	}
	r.stop(t)
	for _, line := range []string{
		"lost: 1 × connections refused or closed: not_ipfix (127.0.0.1)",
		"lost: 1 × connections refused or closed: cut (127.0.0.1)",
	} {
		if !strings.Contains(r.summary.String(), line) {
			t.Errorf("the summary has no %q:\n%s", line, &r.summary)
		}
	}
	got := testkit.Ask(t, r.cfg, `SELECT reason, exporter, unit, missing, sum(count) FROM collector_loss
		WHERE stage = 'connection' GROUP BY ALL ORDER BY ALL`)
	if want := "cut\t127.0.0.1\tconnections\ttrue\t1\nnot_ipfix\t127.0.0.1\tconnections\ttrue\t1"; got != want {
		t.Errorf("collector_loss has\n%s\nwant\n%s", got, want)
	}
}

// sendFlows sends messages with flows, each with other counters, and closes the connection. The channel has its error.
func sendFlows(conn net.Conn, messages, flows uint32) chan error {
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(ipfixMessage(1, ipfixTemplate(256, sourceAddress, destAddress, octets, packets)))
		for i := range messages {
			var records []byte
			for n := range flows {
				records = append(records, words(i*7919+n*104729, n*1299709, i*flows+n, 1)...)
			}
			if err == nil {
				_, err = conn.Write(ipfixMessage(1, ipfixSet(256, records)))
			}
		}
		conn.Close()
		sent <- err
	}()
	return sent
}

// While nothing gets to the store senders have to wait, and nothing is lost: more was sent than the queue holds.
func TestStreams_waitForTheStore(t *testing.T) {
	for _, transport := range []string{"TCP", "TLS"} {
		t.Run(transport, func(t *testing.T) {
			proxy := newGate(t)
			address := testkit.FreePort(t)
			environ, client := certificate(t)
			r := startServe(t, append(environ, "SPOOL_PATH=", "LISTEN_"+transport+"="+address)...)
			r.stop(t) // makes the tables
			direct := r.cfg.Server
			r.cfg.Server.Host, r.cfg.Server.Port = "127.0.0.1", int(netip.MustParseAddrPort(proxy.address).Port())
			r.cfg.Batch.Rows, r.cfg.Batch.QueueBytes = 5000, 1<<20
			r.signals = make(chan os.Signal, 4)
			r.summary.Reset()
			core, logs := observer.New(zap.InfoLevel)
			r.serve(core, withoutServer)
			testkit.WaitFor(t, "the collector to listen",
				func() bool { return logs.FilterMessage("listening").Len() > 0 })
			const messages, flows = 2000, 100
			conn := connect(t, address)
			if transport == "TLS" {
				client.ServerName = "127.0.0.1"
				conn = tls.Client(conn, client)
			}
			sent := sendFlows(conn, messages, flows)
			testkit.WaitFor(t, "a line about the server",
				func() bool { return logs.FilterMessage("rows are collected and wait").Len() > 0 })
			if len(sent) > 0 {
				t.Error("all was sent before the store was there: nobody had to wait")
			}
			proxy.open(net.JoinHostPort(direct.Host, portText(direct.Port)))
			if err := <-sent; err != nil {
				t.Error(err)
			}
			reader := *r.cfg
			reader.Server = direct
			testkit.WaitFor(t, "all rows", func() bool {
				return testkit.Ask(t, &reader, "SELECT count(), uniqExact(bit_count) FROM data_flow") ==
					fmt.Sprintf("%d\t%[1]d", messages*flows)
			})
			r.stop(t)
			if !strings.Contains(r.summary.String(), "nothing lost") {
				t.Errorf("the summary says:\n%s", &r.summary)
			}
		})
	}
}

// The same while Kafka does not answer. Its messages are several times what its queue holds.
func TestStreams_waitForKafka(t *testing.T) {
	c := testkit.KafkaCluster(t)
	held, asked := make(chan struct{}), make(chan struct{}, 1)
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		select {
		case asked <- struct{}{}:
		default:
		}
		c.KeepControl()
		c.SleepControl(func() { <-held })
		return nil, nil, false
	})
	address := testkit.FreePort(t)
	cfg := testkit.ConfigFor(t, append(kafkaEnv(t, c), "CLICKHOUSE_FLOWS=false", "CLICKHOUSE_HOST=127.0.0.1:1",
		"KAFKA_SPOOL_PATH=", "LISTEN="+testkit.FreePort(t), "LISTEN_TCP="+address, "CACHE_DIR="+t.TempDir(),
		"METADATA_DIR="+t.TempDir(), "SPOOL_PATH=", "HTTP_LISTEN=127.0.0.1:0")...)
	cfg.Kafka.QueueBytes, cfg.Batch.Rows = 8<<20, 1000
	r := startConfigured(t, cfg, withoutServer)
	const messages, flows = 1000, 100
	sent := sendFlows(connect(t, address), messages, flows)
	<-asked
	url, taken, polls := r.httpURL(t)+"/metrics", "", 0
	testkit.WaitFor(t, "the collector to take no more", func() bool {
		now := ""
		_, text := getURL(t, url)
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "flow_collector_records_total{") {
				now += line
			}
		}
		if polls++; now != taken || now == "" {
			taken, polls = now, 0
		}
		return polls >= 20
	})
	if strings.Contains(taken, fmt.Sprintf(" %d\n", messages*flows)) {
		t.Errorf("it took all: %s", taken)
	}
	close(held)
	if err := <-sent; err != nil {
		t.Error(err)
	}
	testkit.WaitFor(t, "all messages", func() bool { return consumedSoFar(c) == messages*flows })
	r.stop(t)
	if !strings.Contains(r.summary.String(), "nothing lost") {
		t.Errorf("the summary says:\n%s", &r.summary)
	}
}

// A stop while an exporter sends: what was decoded is stored, and the ledger balances.
func TestStreams_stopUnderLoad(t *testing.T) {
	address := testkit.FreePort(t)
	r := startServe(t, "LISTEN_TCP="+address)
	ended := make(chan struct{})
	for range 4 {
		conn := connect(t, address)
		go func() {
			defer func() { ended <- struct{}{} }()
			message := ipfixMessage(1, ipfixTemplate(256, sourceAddress, destAddress, octets, packets))
			for {
				if _, err := conn.Write(message); err != nil {
					return
				}
				message = ipfixMessage(1, ipfixSet(256, bytes.Repeat(words(1, 2, 3, 4), 50)))
			}
		}()
	}
	testkit.WaitFor(t, "rows",
		func() bool { return testkit.Ask(t, r.cfg, "SELECT count() > 10000 FROM data_flow") == "1" })
	r.stop(t)
	for range 4 {
		<-ended
	}
	// Where the store is slower than the senders, blocks wait in the spool for the next run.
	text := r.summary.String()
	number := func(pattern string) (n int) {
		if found := regexp.MustCompile(pattern).FindStringSubmatch(text); found != nil {
			n, _ = strconv.Atoi(found[1])
		}
		return n
	}
	records, rows := number(`(\d+) records in `), number(`(\d+) rows written`)
	waiting := number(`(\d+) wait in the spool`)
	if !strings.Contains(text, "nothing lost") || rows < 10000 || rows+waiting != records {
		t.Errorf("%d records, %d rows written, %d in the spool:\n%s", records, rows, waiting, text)
	}
	if stored := testkit.Ask(t, r.cfg, "SELECT count() FROM data_flow"); stored != strconv.Itoa(rows) {
		t.Errorf("%s rows in the table, %d by the summary", stored, rows)
	}
}

// A real exporter: softflowd 1.1 sends what it sees in one of our captures.
func TestStreams_softflowd(t *testing.T) {
	softflowd, err := exec.LookPath("softflowd")
	if err != nil {
		softflowd = "/usr/sbin/softflowd"
	}
	if _, err := os.Stat(softflowd); err != nil {
		t.Skip("softflowd is not installed (Debian package softflowd)")
	}
	address := testkit.FreePort(t)
	r := startServe(t, "LISTEN_TCP="+address, "CLICKHOUSE_FLOW_TTL=")
	dir := t.TempDir()
	exporter := exec.CommandContext(t.Context(), softflowd, "-d", "-v", "10", "-P", "tcp", "-n", address,
		"-p", filepath.Join(dir, "pid"), "-c", filepath.Join(dir, "ctl"), "-r", testkit.OwnCapture(t, "softflowd-v9"))
	output, err := exporter.CombinedOutput()
	if err != nil {
		t.Fatalf("softflowd: %v\n%s", err, output)
	}
	// The capture has one flow: 10 datagrams from an exporter to a collector.
	const want = "198.51.100.12\t10"
	rows := "SELECT DISTINCT replaceOne(toString(src_ip), '::ffff:', ''), packet_count FROM data_flow"
	testkit.WaitFor(t, "the row", func() bool { return testkit.Ask(t, r.cfg, rows) == want })
	r.stop(t)
	if !strings.Contains(r.summary.String(), "nothing lost") {
		t.Errorf("softflowd says:\n%s\nand the summary:\n%s", output, &r.summary)
	}
}

// connectable is an address that somebody listens on.
func connectable(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func TestServe_streamPortInUse(t *testing.T) {
	address := connectable(t)
	err := Serve(testkit.ConfigFor(t, "LISTEN="+testkit.FreePort(t), "LISTEN_TCP="+address), zap.NewNop(), nil, nil,
		ServeOptions{})
	if err == nil || !strings.Contains(err.Error(), "listen on TCP "+address) {
		t.Errorf("got %v", err)
	}
}
