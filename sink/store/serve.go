package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"
)

// Serve loads the engine, opens the data directory and answers on o.Listen until ctx ends; then it lets running statements
// finish (at most o.Grace) and closes the engine. One process can serve once: the engine does not unload. Every error is
// one line for the operator.
func Serve(ctx context.Context, o Options) error {
	o = o.withDefaults()
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return fmt.Errorf("store directory %s: %w", o.Path, err)
	}
	o.Path = path
	lock, err := lockDirectory(o.Path)
	if err != nil {
		return err
	}
	defer lock.Close()
	// The port comes before the engine: what is listening elsewhere is told at once.
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return fmt.Errorf("store cannot listen on %s: %w", o.Listen, err)
	}
	defer listener.Close()
	s, anchor, err := openServer(o)
	if err != nil {
		return err
	}
	o.Log.Info("store is open", zap.String("path", o.Path), zap.String("url", "http://"+listener.Addr().String()), zap.String("engine", s.version))
	finished, err := s.serve(ctx, listener)
	if finished {
		// An engine that still runs a statement must not be closed under it: the process ends instead.
		anchor.close()
	}
	return err
}

// openServer starts the engine. The returned connection keeps it running: with its last connection the engine stops.
func openServer(o Options) (*server, *conn, error) {
	e, err := loadEngine(o.Engine)
	if err != nil {
		return nil, nil, err
	}
	config, err := o.writeConfig()
	if err != nil {
		return nil, nil, err
	}
	anchor, err := e.open("--path="+o.Path, "--config-file="+config)
	if err != nil {
		return nil, nil, fmt.Errorf("store engine %s cannot open %s: %w", o.Engine, o.Path, err)
	}
	s := &server{o: o, engine: e, queries: make(chan struct{}, o.Queries), inserts: make(chan struct{}, o.Queries)}
	err = anchor.query("SELECT version(), timezone()", "TabSeparated", nil, func(b []byte, _ counts) error {
		s.version, s.zone, _ = strings.Cut(strings.TrimSpace(string(b)), "\t")
		return nil
	})
	if err != nil {
		anchor.close()
		return nil, nil, fmt.Errorf("store engine %s does not answer: %w", o.Engine, err)
	}
	if s.host, err = os.Hostname(); err != nil {
		s.host = "localhost"
	}
	return s, anchor, nil
}

// serve answers until ctx ends. finished says that no statement is left running.
func (s *server) serve(ctx context.Context, listener net.Listener) (finished bool, err error) {
	h := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 5 * time.Minute, ErrorLog: zap.NewStdLog(s.o.Log)}
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(listener) }()
	select {
	case err = <-failed:
		err = fmt.Errorf("store on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), s.o.Grace)
	defer cancel()
	if e := h.Shutdown(grace); errors.Is(e, context.DeadlineExceeded) {
		s.o.Log.Warn("store: statements still run after the grace period and are given up", zap.Int("statements", s.running()), zap.Duration("grace", s.o.Grace))
		h.Close()
	}
	return s.running() == 0, err
}

// running is the number of statements that the engine works on.
func (s *server) running() int { return len(s.queries) + len(s.inserts) }
