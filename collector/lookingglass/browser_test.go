package lookingglass

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/status"
	"github.com/metranova/flow-collector/collector/web"
	"github.com/metranova/flow-collector/collector/web/access"
	"github.com/metranova/flow-collector/sink/golden"
)

// The page in a real browser, with pictures of it: `make test-page`. PAGE_TEST is a directory that has playwright-core
// and gets the pictures.
func TestRouting_inABrowser(t *testing.T) {
	browser := os.Getenv("PAGE_TEST")
	if browser == "" {
		t.Skip("needs a browser: make test-page")
	}
	g := twoRouters(t)
	g.Viewers = access.Viewers{LocalOnly: true}
	g.Exporters = func() []Exporter {
		return []Exporter{{Address: netip.MustParseAddr("127.0.0.2"), Device: "edge2", FlowsPerSecond: 1234},
			{Address: netip.MustParseAddr("203.0.113.1"), Device: "nobody"}}
	}
	server, err := web.Listen(web.Options{Address: "127.0.0.1:0", Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	// has the style
	server.Show(web.Exporters{Log: zap.NewNop(), Report: func() *status.Report { return &status.Report{} },
		Top: func(context.Context) *status.TopTraffic { return &status.TopTraffic{} }})
	g.Mount(server)
	script := exec.CommandContext(t.Context(), "node",
		filepath.Join(golden.Repository(t), "collector", "lookingglass", "testdata", "routing.mjs"), server.URL(),
		browser)
	out, err := script.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}
