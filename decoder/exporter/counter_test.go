package exporter

import (
	"fmt"
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
	v := reflect.ValueOf(&s.streamCounters).Elem()
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if c, is := v.Field(i).Addr().Interface().(*atomic.Uint64); !is || !fields[c] {
			t.Errorf("Stream.%s is not in the table of counters", field.Name)
		}
	}
}

// Every number of Counts is that of one counter of the table, or of a reason.
func TestCountsOf(t *testing.T) {
	s := &Stream{}
	for i, c := range Counters() {
		c.of(s).Store(uint64(100 + i))
	}
	for _, reason := range Reasons() {
		s.Fail(reason, 1000+uint64(reason))
	}
	seen := map[uint64]string{}
	var look func(name string, v reflect.Value)
	look = func(name string, v reflect.Value) {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				look(v.Type().Field(i).Name, v.Field(i))
			}
		case reflect.Array:
			for i := range v.Len() {
				look(fmt.Sprintf("%s[%d]", name, i), v.Index(i))
			}
		default:
			if n := v.Uint(); n < 100 || seen[n] != "" {
				t.Errorf("%s is %d, which is no counter's or that of %s", name, n, seen[n])
			} else {
				seen[n] = name
			}
		}
	}
	look("", reflect.ValueOf(CountsOf(s)))
}
