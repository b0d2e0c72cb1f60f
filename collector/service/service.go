// Package service is the life of a running collector: it opens sockets, sinks and metadata, starts a worker for
// each core, reports every minute, reloads the configuration, and delivers what is left when it stops. Serve
// collects from sockets, Replay from captures.
package service

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/metrics"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/metadata"
)

// service starts and stops the parts of a running collector. It opens them in the order of their dependencies and
// closes them in reverse order. No part refers to the service.
type service struct {
	cfg      *config.Config
	log      *zap.Logger
	database *database
	outputs  outputs
	workers  *workers
	accounts *accounts
	metrics  *metrics.Metrics
	refresh  *metadata.Refresher

	background sync.WaitGroup // refreshing metadata, making tables
	life       context.Context
	cancel     context.CancelFunc
}

// newService opens the database and the outputs. Batches wait until the tables are made, and on disk where there is a
// spool. finish closes all of it, the spools too.
func newService(cfg *config.Config, version string, log *zap.Logger, all outputs, in *intake) (*service, error) {
	run := make([]byte, 8)
	rand.Read(run)
	s := &service{cfg: cfg, log: log, outputs: all}
	s.life, s.cancel = context.WithCancel(context.Background())
	var err error
	if s.database, err = openDatabase(s.life, cfg, log); err != nil {
		s.cancel()
		return nil, err
	}
	s.database.inDoubt = all.inDoubt
	s.workers = newWorkers(cfg, &s.database.settings, in)
	s.accounts = newAccounts(in, s.workers, all, s.database, cfg.Metrics.MaxExporters)
	s.metrics = s.accounts.metrics(version, func() *metadata.Refresher { return s.refresh }, log)
	if err := s.outputs.open(setup.Parts{
		Log: log, Run: hex.EncodeToString(run), Conn: s.database.conn, Servers: s.database.server.Addrs,
		Settings: s.database.settings, TablesMade: s.database.tables, ExtType: &s.database.extType,
	}, s.metrics.Inserted); err != nil {
		s.abort()
		return nil, err
	}
	s.refresh = metadata.NewRefresher(metadata.RefresherOptions{
		Conn: s.database.conn, Settings: s.database.settings, Sources: metadata.Sources(setup.Sources(cfg)),
		Snapshot: &s.workers.snapshot, File: filepath.Join(cfg.Metadata.CacheDir, "metadata.snapshot"),
		Interval: cfg.Metadata.Refresh, ForceUpdate: cfg.Metadata.ForceUpdate, Log: log.Named("metadata"),
	})
	if err := s.refresh.Start(); err != nil {
		s.abort()
		return nil, err
	}
	return s, nil
}

// abort closes what newService opened, after an error of the start: no row has come yet. The spools are left open.
func (s *service) abort() {
	s.cancel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // nothing is waited for
	_ = s.outputs.close(ctx)
	_ = s.database.close()
}

// start makes the tables and then keeps the metadata up to date, in the background: rows are collected meanwhile.
// A local store that cannot be started after all is one of the failures.
func (s *service) start(failed failures) {
	s.background.Go(func() {
		if err := s.database.waitForStore(s.life); err != nil {
			if s.life.Err() == nil {
				failed.add(err)
			}
			return
		}
		later, err := s.database.keepMakingTables(s.life)
		if err != nil {
			return
		}
		if later {
			s.log.Info("new rollups are made later: inserts of the last run wait that may be stored already")
			s.background.Go(func() { s.database.makeLaterRollups(s.life) })
		}
		s.background.Go(func() { s.database.keepRoom(s.life) })
		s.refreshMetadata()
	})
}

// refreshMetadata keeps the metadata up to date until the service ends, at a lower priority than everything else.
func (s *service) refreshMetadata() {
	const nice = 10
	runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
	if err := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), nice); err != nil {
		s.log.Warn("metadata is refreshed at the same priority as everything else", zap.Error(err))
	}
	if err := s.refresh.Run(s.life); err != nil {
		s.log.Error("metadata is not refreshed any more", zap.Error(err))
	}
}

// keepTemplates has workers begin with the templates of the last run, its sources of sFlow agents and its exporters,
// and saves those of this one now and then. It is called before workers are added.
func (s *service) keepTemplates() {
	every := s.cfg.Decoder.SaveTemplates
	if every <= 0 {
		return
	}
	file := openTemplateFile(filepath.Join(s.cfg.Metadata.CacheDir, "templates.json"),
		s.cfg.Decoder.TemplateExpiry, s.log.Named("templates"))
	s.workers.templates = file
	s.workers.agentFile = openAgentFile(filepath.Join(s.cfg.Metadata.CacheDir, "agents.json"),
		s.cfg.Decoder.TemplateExpiry, &s.workers.agents, s.log.Named("agents"))
	s.workers.tenures = openTenureFile(filepath.Join(s.cfg.Metadata.CacheDir, "tenures.json"),
		s.cfg.Decoder.TemplateExpiry, s.log.Named("exporters"))
	s.background.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				s.writeTemplates()
			case <-s.life.Done():
				return
			}
		}
	})
}

// writeTemplates saves what changed of the templates, the sources of sFlow agents and the exporters, if they are kept.
func (s *service) writeTemplates() {
	if s.workers.templates == nil {
		return
	}
	if err := s.workers.templates.write(time.Now()); err != nil {
		s.log.Error("templates are not saved", zap.Error(err))
	}
	if err := s.workers.agentFile.write(time.Now()); err != nil {
		s.log.Error("sources of sFlow agents are not saved", zap.Error(err))
	}
	if err := s.workers.tenures.write(time.Now()); err != nil {
		s.log.Error("for how long exporters were heard is not saved", zap.Error(err))
	}
}

// finish delivers what the workers handed over, within the grace period, and ends what runs. The workers must have
// ended.
func (s *service) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Batch.Grace)
	defer cancel()
	err := errors.Join(s.outputs.close(ctx), s.outputs.closeSpools())
	s.cancel()
	s.background.Wait()
	s.writeTemplates()
	return errors.Join(err, s.database.close())
}
