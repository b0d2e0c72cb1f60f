package main

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/web"
)

// httpPage is what the collector says of itself over HTTP. nil: nothing.
type httpPage struct {
	server *web.Server
}

// openHTTP answers from the start that the process lives; nil where HTTP is switched off.
func openHTTP(cfg *config.Config, log *zap.Logger) (*httpPage, error) {
	if cfg.HTTP.Listen == "" {
		return nil, nil
	}
	server, err := web.Listen(web.Options{Address: cfg.HTTP.Listen, PProf: cfg.HTTP.PProf, Log: log.Named("http")})
	if err != nil {
		return nil, err
	}
	log.Info("HTTP answers", zap.String("url", server.URL()))
	return &httpPage{server: server}, nil
}

// show has the server answer for a service whose workers run.
func (p *httpPage) show(s *service) {
	if p == nil {
		return
	}
	p.server.Ready(s.notReady)
}

func (p *httpPage) close() {
	if p != nil {
		p.server.Close()
	}
}

// spoolNearlyFull is how much of the spool may be in use, in percent.
const spoolNearlyFull = 90

// notReady says in words what keeps the collector from doing its work; nothing if it does.
func (s *service) notReady() []string {
	var problems []string
	add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	stats := s.writer.Stats()
	select {
	case <-s.tables:
	default:
		add("the tables are not made: rows are collected and wait")
	}
	if s.writer.Down() && stats.LastError != nil {
		add("ClickHouse takes no inserts; the latest failed at %s: %v", stats.LastErrorTime.UTC().Format(time.TimeOnly), oneLine(stats.LastError))
	}
	if most := int64(s.cfg.Spool.MaxBytes); s.spool != nil && stats.Spool.DiskBytes*100 >= most*spoolNearlyFull {
		add("the spool is %d %% full: %d of %d bytes, %d rows wait", stats.Spool.DiskBytes*100/most, stats.Spool.DiskBytes, most, stats.Spool.Waiting.Rows)
	}
	select {
	case <-s.refresh.Loaded():
	default:
		add("the metadata is not loaded yet: rows are written with what the last run knew")
	}
	return problems
}
