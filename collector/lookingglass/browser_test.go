package lookingglass

import (
	"net/netip"
	"testing"

	"github.com/metranova/flow-collector/collector/web/access"
	"github.com/metranova/flow-collector/collector/web/webtest"
)

// The page in a real browser, with pictures of it: `make test-page`.
func TestRouting_inABrowser(t *testing.T) {
	browser := webtest.Browser(t)
	g := twoRouters(t)
	g.Viewers = access.Viewers{LocalOnly: true}
	g.Exporters = func() []Exporter {
		return []Exporter{{Address: netip.MustParseAddr("127.0.0.2"), Device: "edge2", FlowsPerSecond: 1234},
			{Address: netip.MustParseAddr("203.0.113.1"), Device: "nobody"}}
	}
	lookUp(g, 1, "127.0.0.2", "127.0.0.2", "127.0.0.2", "203.0.113.8")
	server := webtest.Serve(t)
	g.Mount(server)
	webtest.Run(t, "testdata/routing.mjs", server.URL(), browser)
}
