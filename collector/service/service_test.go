package service

import (
	"testing"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/config"
)

// testService is a service whose tables are made and whose metadata is loaded.
func testService(t testing.TB, cfg *config.Config) *service {
	t.Helper()
	s, err := newService(cfg, "test", zap.NewNop(), newOutputs(cfg), &intake{})
	if err != nil {
		t.Fatal(err)
	}
	s.start(nil)
	<-s.refresh.Loaded()
	t.Cleanup(func() {
		if err := s.finish(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return s
}
