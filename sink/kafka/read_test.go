package kafka

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestRead(t *testing.T) {
	c := cluster(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	begun := time.Now().Add(-time.Hour)
	for i := range 60 {
		r := &kgo.Record{Value: fmt.Appendf(nil, "message %d", i), Key: fmt.Append(nil, i),
			Timestamp: begun.Add(time.Duration(i) * time.Minute)}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	o := Options{Brokers: c.ListenAddrs(), Topic: topic}
	for _, test := range []struct {
		name string
		from time.Time
		want int
	}{
		{"all", time.Time{}, 60},
		{"the later half", begun.Add(30 * time.Minute), 30},
		{"none", time.Now().Add(time.Hour), 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			got := map[string]int{}
			if err := Read(ctx, o, test.from, func(m []byte) { got[string(m)]++ }); err != nil {
				t.Fatal(err)
			}
			for i := 60 - test.want; i < 60; i++ {
				if m := fmt.Sprintf("message %d", i); got[m] != 1 {
					t.Errorf("%s came %d times", m, got[m])
				}
			}
			if len(got) != test.want {
				t.Errorf("%d messages, want %d", len(got), test.want)
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	o.Topic = "missing"
	if err := Read(ctx, o, time.Time{}, func([]byte) {}); err == nil ||
		!strings.Contains(err.Error(), "topic missing") {
		t.Errorf("a topic that is not there: %v", err)
	}
}
