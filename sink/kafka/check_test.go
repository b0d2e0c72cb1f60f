package kafka

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

func TestCheck(t *testing.T) {
	open := cluster(t)
	locked := cluster(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "collector", "secret"))
	for _, test := range []struct {
		name string
		o    Options
		want string
		bad  bool
	}{
		{"all is well", Options{Brokers: open.ListenAddrs(), Topic: topic}, "1 brokers; topic flows has 3 partitions",
			false},
		{"a topic to be made", Options{Brokers: open.ListenAddrs(), Topic: "new", CreateTopic: true},
			"topic new will be created", false},
		{"no topic", Options{Brokers: open.ListenAddrs(), Topic: "new"},
			"there is no topic new: create it, or set kafka.create_topic", true},
		{"nobody there", Options{Brokers: []string{"127.0.0.1:1"}, Topic: topic}, "connection refused", true},
		{"the right password", Options{Brokers: locked.ListenAddrs(), Topic: topic,
			SASL: SASL{"PLAIN", "collector", "secret"}}, "3 partitions", false},
		{"the wrong password", Options{Brokers: locked.ListenAddrs(), Topic: topic,
			SASL: SASL{"PLAIN", "collector", "wrong"}}, `user "collector"`, true},
		{"TLS that is not there", Options{Brokers: open.ListenAddrs(), Topic: topic, TLS: TLS{Enabled: true}}, "",
			true},
		{"an unknown codec", Options{Brokers: open.ListenAddrs(), Topic: topic, Compression: "zip"},
			"is none of none, gzip", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			patience := time.Minute
			if test.bad && test.want == "" { // no answer at all
				patience = time.Second
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			found, err := Check(ctx, test.o)
			if (err != nil) != test.bad {
				t.Fatalf("got %q, %v", found, err)
			}
			if err != nil {
				found = err.Error()
			}
			if !strings.Contains(found, test.want) || strings.Contains(found, "\n") {
				t.Errorf("got %q, want one line with %q", found, test.want)
			}
		})
	}
}
