package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

var ourMetric = regexp.MustCompile(`flow_collector_([a-z_]+)`)

// The alerts ask for metrics that there are, and say what is wrong and where to look.
func TestPrometheusAlerts(t *testing.T) {
	text, err := os.ReadFile("../conf.example/prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	// A test compares the README with the metrics.
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	for _, r := range file.Groups[0].Rules {
		if slices.Contains(seen, r.Alert) || r.Annotations["summary"] == "" || r.Annotations["description"] == "" ||
			r.Labels["severity"] != "warning" && r.Labels["severity"] != "critical" ||
			strings.Count(r.Expr, "(") != strings.Count(r.Expr, ")") {
			t.Errorf("%s: %+v", r.Alert, r)
		}
		seen = append(seen, r.Alert)
		for _, m := range ourMetric.FindAllStringSubmatch(r.Expr, -1) {
			if !strings.Contains(string(readme), "`"+m[1]) {
				t.Errorf("%s: there is no metric %s", r.Alert, m[0])
			}
		}
	}
	if len(seen) < 10 {
		t.Errorf("%d alerts", len(seen))
	}
}
