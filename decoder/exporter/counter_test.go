package exporter

import (
	"reflect"
	"sync/atomic"
	"testing"
)

// Every counter has what the ledger, metrics and the summary need of it, and a field of its own.
func TestCounters(t *testing.T) {
	var s Stream
	names, metrics, fields := map[string]bool{}, map[string]bool{}, map[*atomic.Uint64]bool{}
	for _, c := range Counters() {
		if c.Name == "" || c.Unit == "" || c.Stage == "" || c.Metric == "" || c.Help == "" {
			t.Errorf("not complete: %+v", c)
		}
		if names[c.Name] || metrics[c.Metric] || fields[c.of(&s)] {
			t.Errorf("%s, %s or its field is there twice", c.Name, c.Metric)
		}
		names[c.Name], metrics[c.Metric], fields[c.of(&s)] = true, true, true
	}
	// What is in the summary of evicted streams is what the table has: a field that is left out of it would be lost
	// there.
	others := map[string]bool{"Evictions": true, "Impostors": true} // not added up, see Table
	v := reflect.ValueOf(&s).Elem()
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Type != reflect.TypeFor[atomic.Uint64]() || !field.IsExported() || others[field.Name] {
			continue
		}
		if !fields[v.Field(i).Addr().Interface().(*atomic.Uint64)] {
			t.Errorf("Stream.%s is not in the table of counters", field.Name)
		}
	}
}
