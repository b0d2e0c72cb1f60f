package service

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/metrics"
	"github.com/metranova/flow-collector/collector/pipeline"
	"github.com/metranova/flow-collector/collector/report"
	"github.com/metranova/flow-collector/collector/rpki"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/collector/tap"
	"github.com/metranova/flow-collector/collector/verdict"
	"github.com/metranova/flow-collector/decoder"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/netflow"
	"github.com/metranova/flow-collector/decoder/sflow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/schema"
)

// workers make rows of datagrams: one worker for each listener, and one for all connections. All are added before the
// first one runs; what they share is behind atomic pointers, which are replaced while they run.
type workers struct {
	snapshot atomic.Pointer[enrich.Snapshot]
	settings atomic.Pointer[pipeline.Settings]
	taps     tap.Hub      // shows rows to people while somebody looks
	agents   sflow.Agents // those that any worker heard

	cfg       *config.Config
	tables    *schema.Settings
	in        *intake
	lookedUp  *enrich.LookUps // of all workers, by exporter
	templates *templateFile   // nil: templates are not kept over a restart
	agentFile *agentFile      // of agents; nil where templates is
	tenures   *tenureFile     // for how long sources were heard; nil where templates is
	all       []*pipeline.Worker
}

func newWorkers(cfg *config.Config, tables *schema.Settings, in *intake) *workers {
	w := &workers{cfg: cfg, tables: tables, in: in, lookedUp: enrich.NewLookUps(cfg.Metrics.MaxExporters)}
	w.settings.Store(liveSettings(cfg))
	return w
}

// liveSettings returns the settings that workers can change while they run.
func liveSettings(cfg *config.Config) *pipeline.Settings {
	p := cfg.Policy
	return &pipeline.Settings{
		BySource: cfg.Decoder.ExporterAddress == "source", Names: setup.ExporterNames(cfg),
		Overrides:  setup.SamplingOverrides(cfg),
		MaxAheadMs: cfg.Flow.MaxAhead.Milliseconds(), MaxBehindMs: cfg.Flow.MaxBehind.Milliseconds(),
		Policy: enrich.Policy{Scopes: p.Scopes, AutoScopes: p.AutoScopes, CommunityScopes: p.CommunityScopes,
			Label: setup.Labels(cfg)},
		Ports:      setup.Ports(cfg),
		MinPackets: uint64(cfg.Flow.MinPackets), MinBits: 8 * uint64(cfg.Flow.MinBytes),
	}
}

// add makes another worker. o says what is special about it.
func (ws *workers) add(o pipeline.Options) *pipeline.Worker {
	n := len(ws.all)
	options := setup.Decoder(ws.cfg)
	options.Workers, options.NetFlow.FlowsOnly = ws.cfg.Listen.DecoderCount(), true
	if ws.in.live() {
		options.MaxRecords = ws.cfg.Decoder.MaxRecords
	}
	if ws.templates != nil {
		options.NetFlow.Saved = ws.templates.loaded
		o.Save, o.SaveEvery = func(state netflow.State) { ws.templates.put(n, state) }, ws.cfg.Decoder.SaveTemplates
	}
	var w *pipeline.Worker
	options.SFlow.Agents = &ws.agents
	options.SFlow.Counters = func(c *flow.InterfaceCounters) { w.Counters(c) }
	o.Decoder = decoder.New(options)
	routes := setup.Routes(ws.cfg, ws.in.station, ws.in.maps)
	routes.LookUps = ws.lookedUp
	o.Enricher = enrich.New(enrich.Options{
		IPRefExtensions: ws.tables.IPRefExtensions, WithoutLearned: !ws.cfg.LearnedNames, Routes: routes,
		RPKI: setup.Validation(ws.cfg, ws.in.rpki),
	})
	o.Settings = &ws.settings
	o.KeepTimes = !ws.in.live()
	o.Snapshot = &ws.snapshot
	o.Tap = ws.taps.Current()
	o.Interfaces = decoder.Part(decoder.MaxInterfaces, ws.cfg.Listen.DecoderCount())
	w = pipeline.NewWorker(o)
	w.SetTTL(ws.tables.FlowTTL.Duration())
	ws.all = append(ws.all, w)
	return w
}

// addForConnections makes the worker of all connections. Templates belong to their connection and are not saved.
func (ws *workers) addForConnections(sinks []sink.Batcher) *pipeline.Worker {
	w := ws.add(pipeline.Options{Sinks: sinks})
	w.Save = nil
	return w
}

// exporters are the workers' tables of exporters.
func (ws *workers) exporters() []*exporter.Table {
	tables := make([]*exporter.Table, len(ws.all))
	for i, w := range ws.all {
		tables[i] = w.Decoder.Exporters()
	}
	return tables
}

// rows is how many rows the workers made.
func (ws *workers) rows() (n uint64) {
	for _, w := range ws.all {
		n += w.Rows()
	}
	return n
}

// small is how many records gave no row because their flows are smaller than the operator wants.
func (ws *workers) small() (n uint64) {
	for _, w := range ws.all {
		n += w.Small()
	}
	return n
}

// expired returns how many of the rows were older than the table's TTL, which drops them.
func (ws *workers) expired() (n uint64) {
	for _, w := range ws.all {
		n += w.Expired()
	}
	return n
}

// followTable tells the workers which rows the table drops by now, and which type its ext has.
func (ws *workers) followTable(d *database) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = d.readExtType(ctx) // where the server does not answer, the writer says so
	ms, err := d.expiry(ctx)
	if err != nil {
		return // the server does not answer; the writer says so
	}
	ttl := d.ttl.Load()
	for _, w := range ws.all {
		w.SetExpiry(ms)
		if ttl != nil {
			w.SetTTL(ttl.Duration())
		}
	}
}

// routes is what is known of routes, for metrics; false: there are none.
func (ws *workers) routes() (metrics.Routing, bool) {
	if ws.in.station == nil {
		return metrics.Routing{}, false
	}
	r := metrics.Routing{Stats: ws.in.station.Stats(), LookUps: ws.lookUpCounts()}
	r.Exporters, r.Others = ws.lookedUp.All()
	return r, true
}

// routingFacts are what verdicts on routes are of. Look-ups are not among them.
func (ws *workers) routingFacts(now, started time.Time) *verdict.Routing {
	return &verdict.Routing{Now: now, Started: started, Stats: ws.in.station.Stats(), Validates: ws.in.rpki != nil,
		RPKI: ws.in.rpki.Stats()}
}

// lookUpCounts are the look-ups of all workers.
func (ws *workers) lookUpCounts() (n enrich.RouteCounts) {
	for _, w := range ws.all {
		n.Add(w.Enricher.RouteCounts())
	}
	return n
}

// lookUps are what rows found in the routing table; nil where there were no routes to look up.
func (ws *workers) lookUps(rows uint64) *report.LookUps {
	x := &report.LookUps{RouteCounts: ws.lookUpCounts(), Rows: rows}
	if !ws.cfg.Routing.On() && x.Total() == x.NoRouter {
		return nil
	}
	return x
}

// device is the id and ref of an exporter's device in metadata; "" if it has none.
func (ws *workers) device(a flow.Addr) (id, ref string) {
	d, _ := ws.snapshot.Load().LookupDevice(a.Netip())
	return d.ID, d.Ref
}

// noRoutes returns a function that reports whether an exporter has no router with routes. It belongs to one goroutine.
func (ws *workers) noRoutes() func(flow.Addr) bool {
	finder := enrich.NewFinder(setup.Routes(ws.cfg, ws.in.station, ws.in.maps))
	finder.Close() // it looks no route up
	ref := func(a flow.Addr) string {
		_, ref := ws.device(a)
		return ref
	}
	return func(a flow.Addr) bool {
		router, _ := finder.RouterOf(a, ref(a), ref)
		return router == ""
	}
}

// validation is what is known of RPKI data; false: routes are not validated.
func (ws *workers) validation() (rpki.Stats, bool) {
	if ws.in.rpki == nil {
		return rpki.Stats{}, false
	}
	return ws.in.rpki.Stats(), true
}

// nameOf is the address by which rows name an exporter.
func nameOf(stream *exporter.Stream, settings *pipeline.Settings) flow.Addr {
	name := stream.Key.Exporter
	if stated := stream.Stated(); stated != (flow.Addr{}) {
		name = stated
	}
	return settings.Name(name, stream.Source)
}
