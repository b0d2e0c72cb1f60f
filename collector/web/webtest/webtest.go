// Package webtest lets tests look at pages in a real browser.
package webtest

import (
	"net/http"
	"os"
	"os/exec"
	"testing"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/status"
	"github.com/metranova/flow-collector/collector/web"
)

// Browser returns PAGE_TEST, a directory that has playwright-core and gets pictures: `make test-page` sets it. Without
// it the test is skipped.
func Browser(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("PAGE_TEST")
	if dir == "" {
		t.Skip("needs a browser: make test-page")
	}
	return dir
}

// Run runs a script with node. What it prints goes to the log of the test, which fails with the script.
func Run(t *testing.T, script string, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "node", append([]string{script}, args...)...).CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

// Serve starts a server that shows a collector without exporters, and has the style that all pages share.
func Serve(t *testing.T) *web.Server {
	t.Helper()
	server, err := web.Listen(web.Options{Address: "127.0.0.1:0", Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	server.Show(web.Exporters{Log: zap.NewNop(), Report: func() *status.Report { return &status.Report{} },
		Top: func(*http.Request) *status.TopTraffic { return &status.TopTraffic{} }})
	return server
}
