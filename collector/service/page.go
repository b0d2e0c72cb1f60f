package service

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/explore"
	"github.com/metranova/flow-collector/collector/explore/page"
	"github.com/metranova/flow-collector/collector/explore/views"
	"github.com/metranova/flow-collector/collector/lookingglass"
	"github.com/metranova/flow-collector/collector/metrics"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/collector/status"
	"github.com/metranova/flow-collector/collector/verdict"
	"github.com/metranova/flow-collector/collector/web"
	"github.com/metranova/flow-collector/collector/web/access"
	"github.com/metranova/flow-collector/sink/clickhouse"
)

// httpPage is what the collector says of itself over HTTP. nil: nothing.
type httpPage struct {
	server    *web.Server
	cfg       *config.HTTP
	views     *views.File // saved views of the traffic
	log       *zap.Logger
	condition *condition
	history   *status.History
	top       *status.Top
	exploring driver.Conn // of /explore; nil: nobody may look

	end   chan struct{}
	ended sync.WaitGroup
}

// openHTTP answers from the start that the process lives; nil where HTTP is switched off. An end that nobody asked for
// goes to failed.
func openHTTP(cfg *config.Config, log *zap.Logger, failed failures) (*httpPage, error) {
	if cfg.HTTP.Listen == "" {
		return nil, nil
	}
	server, err := web.Listen(web.Options{
		Address: cfg.HTTP.Listen, PProf: cfg.HTTP.PProf, Hosts: cfg.HTTP.Hosts, Log: log.Named("http"),
		Failed: failed.add,
	})
	if err != nil {
		return nil, err
	}
	log.Info("HTTP answers", zap.String("url", server.LocalURL()))
	return &httpPage{server: server, cfg: &cfg.HTTP, views: views.In(cfg.Metadata.CacheDir), log: log.Named("http"),
		end: make(chan struct{})}, nil
}

// show has the server answer for a collector whose workers run.
func (p *httpPage) show(c *condition, m *metrics.Metrics) {
	if p == nil {
		return
	}
	p.condition = c
	p.history = status.NewHistory(time.Now())
	tables := &c.database.settings
	p.top = &status.Top{Conn: c.database.conn, Database: tables.Database, Table: tables.Tables.Flow,
		Snapshot: c.workers.snapshot.Load}
	p.ended.Go(p.sample)
	p.server.Ready(func() (blocking, losing []string) {
		blocking, losing = p.history.Problems(p.inputs(time.Now()))
		for _, problem := range c.refresh.Problems() { // rows go without what it would add to them
			losing = append(losing, "metadata: "+problem)
		}
		return blocking, losing
	})
	viewers, err := p.viewers()
	p.server.Show(web.Exporters{
		Report: func() *status.Report { return p.history.Report(p.inputs(time.Now())) },
		Top: func(r *http.Request) *status.TopTraffic {
			if p.cfg.Explore == "off" || !viewers.SeesAll(r) {
				return nil
			}
			return p.largest(r.Context())
		}, Log: p.log, Explore: p.cfg.Explore != "off",
	})
	p.server.Handle("GET /metrics", m.Handler())
	p.routing(c, viewers)
	if err == nil {
		err = p.explore(c.database, c.workers, viewers)
	}
	if err != nil {
		p.log.Error("the traffic cannot be looked at", zap.Error(err))
	}
}

// explore has the server answer questions about the flows in the store.
func (p *httpPage) explore(d *database, ws *workers, viewers access.Viewers) error {
	cfg := p.cfg
	if cfg.Explore == "off" {
		return nil
	}
	conn, err := clickhouse.New(exploreOptions(d.server, cfg))
	if err != nil {
		return err
	}
	p.exploring = conn
	pages := &page.Pages{Log: p.log, Viewers: viewers, Explorer: &explore.Explorer{
		Conn: conn, Planner: explore.NewPlanner(&d.settings), Now: time.Now,
	}, Prefix: func(a netip.Addr) (ref string, prefix netip.Prefix, ok bool) {
		match, ok := ws.snapshot.Load().LookupIP(a)
		return match.Ref, match.Prefix, ok
	}, Views: p.views}
	if d.settings.MetadataOnly {
		pages.Off = "Flows go to Kafka alone: there is no store to ask."
	}
	pages.Mount(p.server)
	if len(d.settings.Rollups) > 0 {
		p.ended.Go(func() { p.readSources(pages.Explorer, d.tables) })
	}
	return nil
}

// viewers are those who may look at the traffic and at routes. With an error, which is that of the file of users, they
// are those on this host.
func (p *httpPage) viewers() (access.Viewers, error) {
	cfg := p.cfg
	viewers := access.Viewers{LocalOnly: cfg.Explore == "local" || cfg.Explore == "off", Hosts: cfg.Hosts}
	if cfg.Explore != "users" {
		return viewers, nil
	}
	viewers.Header, viewers.Proxies, viewers.Users = cfg.UserHeader, cfg.Proxies, &access.Users{}
	if cfg.Users != "" {
		users, err := access.LoadUsers(cfg.Users)
		if err != nil {
			return access.Viewers{LocalOnly: true, Hosts: cfg.Hosts}, fmt.Errorf("http.users: %w", err)
		}
		users.Report = p.usersRead
		viewers.Users = users
	}
	return viewers, nil
}

// usersRead logs that a changed file of users is not taken, or is again.
func (p *httpPage) usersRead(err error) {
	if err == nil {
		p.log.Info("the file of users is read again")
		return
	}
	p.log.Warn("a changed file of users cannot be read: the users of before stay in use", zap.Error(err))
}

// routing has the server answer questions about routes.
func (p *httpPage) routing(c *condition, viewers access.Viewers) {
	ws := c.workers
	g := &lookingglass.Glass{Station: ws.in.station, RPKI: ws.in.rpki,
		Routes: setup.Routes(ws.cfg, ws.in.station, ws.in.maps), Device: ws.device, Viewers: viewers, Log: p.log,
		LookUps: ws.lookedUp,
		Facts: func(now time.Time) *verdict.Routing {
			r := ws.routingFacts(now, c.started)
			r.LookUps, r.Window = ws.lookUpCounts(), now.Sub(c.started)
			return r
		},
		Exporters: func() (all []lookingglass.Exporter) {
			for _, x := range p.history.Report(p.inputs(time.Now())).Exporters {
				if n := len(all); n > 0 && all[n-1].Address == x.Address {
					all[n-1].FlowsPerSecond += x.FlowsPerSecond
					continue
				}
				all = append(all, lookingglass.Exporter{Address: x.Address, Device: x.Device,
					FlowsPerSecond: x.FlowsPerSecond})
			}
			return all
		}}
	g.Mount(p.server)
}

// exploreOptions are those of the connections that questions go through. Questions have connections of their own, and
// in the local store the places of dashboards: neither inserts nor metadata wait for them.
func exploreOptions(o clickhouse.Options, cfg *config.HTTP) clickhouse.Options {
	const most = 8 // two questions, their progress, suggestions, and what is read of the tables
	o.Client, o.MaxConns, o.CreateDatabase, o.Switched = "flow-explore", most, false, nil
	if cfg.ExploreUsername != "" {
		o.Username, o.Password = cfg.ExploreUsername, cfg.ExplorePassword
	}
	return o
}

// sourcesEvery is how often the store is asked which rollups are complete: one that is filled is used a minute later.
const sourcesEvery = time.Minute

// readSources asks, when the tables are made, which of them can answer what is explored.
func (p *httpPage) readSources(e *explore.Explorer, tablesMade <-chan struct{}) {
	ticker := time.NewTicker(sourcesEvery)
	defer ticker.Stop()
	select {
	case <-tablesMade:
	case <-p.end:
		return
	}
	for {
		ctx, cancel := context.WithTimeout(context.Background(), sourcesEvery)
		if err := e.ReadSources(ctx); err != nil {
			p.log.Debug("the rollups cannot be read: questions are answered from the rows", zap.Error(err))
		}
		cancel()
		select {
		case <-ticker.C:
		case <-p.end:
			return
		}
	}
}

// largest asks the store, where flows go there.
func (p *httpPage) largest(ctx context.Context) *status.TopTraffic {
	if p.condition.database.settings.MetadataOnly {
		return &status.TopTraffic{Error: "flows go to Kafka alone"}
	}
	return p.top.Get(ctx)
}

// stopping has probes say that nothing is received any more. The server goes on until close.
func (p *httpPage) stopping() {
	if p != nil {
		p.server.Stopping()
	}
}

func (p *httpPage) close() {
	if p == nil {
		return
	}
	p.server.Close()
	close(p.end)
	p.ended.Wait()
	if p.exploring != nil {
		_ = p.exploring.Close()
	}
}

// inputs are what there is to know at a moment.
func (p *httpPage) inputs(now time.Time) *status.Inputs {
	in := p.condition.inputs(now)
	in.Facts.StoreClock = p.top.StoreClock()
	return in
}

// sample looks at the counters now and then, so that there are rates.
func (p *httpPage) sample() {
	ticker := time.NewTicker(status.Every)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			in := p.inputs(now)
			p.history.Sample(now, in.Streams, in.Totals, in.LostBy)
		case <-p.end:
			return
		}
	}
}
