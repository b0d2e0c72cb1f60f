package main

import (
	"path/filepath"
	"testing"

	"github.com/metranova/flow-collector/collector/grafana"
	"github.com/metranova/flow-collector/sink/golden"
)

// dashboards reads all of conf.example/grafana/dashboards.
func dashboards(t *testing.T) []grafana.Dashboard {
	t.Helper()
	all, err := grafana.Read(filepath.Join(golden.Repository(t), "conf.example", "grafana", "dashboards"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// expand returns the SQL of a query that reaches ClickHouse.
func expand(t *testing.T, v *grafana.View, sql string) string {
	t.Helper()
	expanded, err := v.Expand(sql)
	if err != nil {
		t.Error(err)
	}
	return expanded
}
