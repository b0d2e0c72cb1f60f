package service

import (
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/collector/status"
	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/collector/web/webtest"
)

// exportersOf asks a collector for what it knows of exporters.
func exportersOf(t *testing.T, url string) *status.Report {
	t.Helper()
	code, body := getURL(t, url+"/exporters.json")
	if code != http.StatusOK {
		t.Fatalf("/exporters.json: %d %s", code, body)
	}
	var r status.Report
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return &r
}

// verdictsOf are the codes of the verdicts on each exporter, by its device.
func verdictsOf(r *status.Report) map[string][]string {
	codes := map[string][]string{}
	for _, x := range r.Exporters {
		codes[x.Device] = []string{}
		for _, v := range x.Verdicts {
			codes[x.Device] = append(codes[x.Device], v.Code)
		}
	}
	return codes
}

// Three exporters of three protocols are well, and what is wrong with the fourth is said.
func TestServe_verdictsOnExporters(t *testing.T) {
	dir := t.TempDir()
	writeExporterMetadata(t, dir)
	r := startServe(t, "HTTP_LISTEN=127.0.0.1:0", "METADATA_DIR="+dir)
	url := r.httpURL(t)
	startExporters(t, r.address, fourExporters(t)...)
	want := map[string][]string{
		"core1":   {},
		"border1": {},
		"switch1": {"address"},
		"old1":    {"no_template", "loss", "clock", "not_in_meta_interface"},
	}
	var got map[string][]string
	testkit.WaitFor(t, "the verdicts", func() bool {
		got = verdictsOf(exportersOf(t, url))
		return cmp.Equal(want, got)
	})
	report := exportersOf(t, url)
	if !report.Collector.Ready || report.Collector.Records == 0 {
		t.Errorf("the collector: %+v", report.Collector)
	}
	old := report.Exporters[slices.IndexFunc(report.Exporters,
		func(x status.Exporter) bool { return x.Device == "old1" })]
	for _, v := range old.Verdicts {
		for code, text := range map[string]string{
			"no_template": "no template 260 from domain 3 since ", "clock": "clock 62 minutes ahead",
			"not_in_meta_interface": "interface 512 not in meta_interface",
			"loss":                  " % of its datagrams are missing by sequence number",
		} {
			if v.Code == code && !strings.Contains(v.Text, text) {
				t.Errorf("%s says %q", code, v.Text)
			}
		}
	}
	if code, body := getURL(t, url+"/exporters?refresh=0"); code != http.StatusOK ||
		!strings.Contains(body, "interface 512 not in meta_interface") ||
		strings.Contains(body, `http-equiv="refresh"`) {
		t.Errorf("the page: %d %s", code, body)
	}
	testkit.WaitFor(t, "the largest from the store", func() bool {
		_, body := getURL(t, url+"/exporters")
		return strings.Contains(body, "core1::to-border") && strings.Contains(body, "UNI-A")
	})
	r.stop(t)
}

// Two sources state the address of one sFlow agent: both of their rows say so, in the JSON and on the page, whichever
// workers they reach.
func TestServe_foreignAgents(t *testing.T) {
	r := startServe(t, "HTTP_LISTEN=127.0.0.1:0", "LISTEN_WORKERS=2")
	url := r.httpURL(t)
	to, err := net.ResolveUDPAddr("udp4", r.address)
	if err != nil {
		t.Fatal(err)
	}
	// Nine sources: a new agent has eight at most.
	var sources []*net.UDPConn
	for n := range byte(9) {
		source, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 4, 1+n)}, to)
		if err != nil {
			t.Fatal(err)
		}
		defer source.Close()
		sources = append(sources, source)
	}
	agent := []byte{0, 0, 0, 5, 0, 0, 0, 1, 192, 0, 2, 1}
	verdicts := map[string]string{}
	testkit.WaitFor(t, "a verdict on both", func() bool {
		for n, source := range sources {
			datagram := append(slices.Clone(agent), make([]byte, 16)...)
			datagram[15] = byte(n) // the sub-agent
			_, _ = source.Write(datagram)
		}
		clear(verdicts)
		for _, x := range exportersOf(t, url).Exporters {
			for _, v := range x.Verdicts {
				if v.Code == "impostor" || v.Code == "foreign_agent" {
					verdicts[v.Code] = x.Address.String() + " from " + x.Source.String() + ": " + v.Text
				}
			}
		}
		return len(verdicts) == 2
	})
	victim, culprit := verdicts["impostor"], verdicts["foreign_agent"]
	by, _, _ := strings.Cut(culprit, " ")
	if !strings.HasPrefix(victim, "192.0.2.1 from 127.0.4.") || !strings.Contains(victim, "another source, "+by+",") {
		t.Errorf("the victim's row: %s", victim)
	}
	if !strings.HasPrefix(culprit, by+" from "+by+": "+by+" states the address of agent 192.0.2.1,") {
		t.Errorf("the culprit's row: %s", culprit)
	}
	_, page := getURL(t, url+"/exporters?refresh=0")
	for _, text := range []string{"another source, " + by, by + " states the address of agent 192.0.2.1"} {
		if !strings.Contains(page, text) {
			t.Errorf("the page does not say %q", text)
		}
	}
	r.stop(t)
}

// The page in a real browser, with pictures of it: `make test-page`.
func TestPage_inABrowser(t *testing.T) {
	browser := webtest.Browser(t)
	dir := t.TempDir()
	writeExporterMetadata(t, dir)
	r := startServe(t, "HTTP_LISTEN=127.0.0.1:0", "METADATA_DIR="+dir, "COLLECTOR_ID=geneva-1")
	url := r.httpURL(t)
	startExporters(t, r.address, fourExporters(t)...)
	time.Sleep(80 * time.Second) // for a line that has points, and for options that do not come in a minute
	webtest.Run(t, "../web/testdata/page.mjs", url, browser)
	r.stop(t)
}
