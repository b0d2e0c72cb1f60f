package kafka

import (
	"crypto/tls"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/kafka/kafkatest"
	"github.com/metranova/flow-collector/sink/tlsconfig"
)

func TestTLS(t *testing.T) {
	a := kafkatest.NewAuthority(t)
	later, past := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	ca := a.File()
	cert, key := a.Pair("collector", later, "")
	lockedCert, lockedKey := a.Pair("collector", later, "secret")
	oldCert, oldKey := a.Pair("collector", past, "")
	other := kafkatest.NewAuthority(t).File()
	for _, test := range []struct {
		name    string
		server  *tls.Config
		client  TLS
		problem string // empty: it works
	}{
		{"mutual", a.Server("127.0.0.1", later), TLS{CAFile: ca, CertFile: cert, KeyFile: key}, ""},
		{"a key with a password", a.Server("127.0.0.1", later),
			TLS{CAFile: ca, CertFile: lockedCert, KeyFile: lockedKey, KeyPassword: "secret"}, ""},
		{"a name that is given", a.Server("kafka.example.net", later),
			TLS{CAFile: ca, CertFile: cert, KeyFile: key, ServerName: "kafka.example.net"}, ""},
		{"any name", a.Server("kafka.example.net", later),
			TLS{CAFile: ca, CertFile: cert, KeyFile: key, SkipName: true}, ""},
		{"any certificate", a.Server("kafka.example.net", past), TLS{CertFile: cert, KeyFile: key, SkipVerify: true},
			""},
		{"another name", a.Server("kafka.example.net", later), TLS{CAFile: ca, CertFile: cert, KeyFile: key},
			"127.0.0.1"},
		{"another authority", a.Server("127.0.0.1", later), TLS{CAFile: other, CertFile: cert, KeyFile: key},
			"unknown authority"},
		{"any name of another authority", a.Server("127.0.0.1", later),
			TLS{CAFile: other, CertFile: cert, KeyFile: key, SkipName: true}, "unknown authority"},
		{"the broker's certificate has expired", a.Server("127.0.0.1", past),
			TLS{CAFile: ca, CertFile: cert, KeyFile: key}, "expired"},
		{"ours has expired", a.Server("127.0.0.1", later), TLS{CAFile: ca, CertFile: oldCert, KeyFile: oldKey},
			"expired"},
		{"none of ours", a.Server("127.0.0.1", later), TLS{CAFile: ca}, "certificate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := cluster(t, kfake.TLS(test.server))
			test.client.Enabled = true
			p, logs := producer(t, Options{Brokers: c.ListenAddrs(), TLS: test.client, DeliveryTimeout: time.Second})
			enqueue(p, 0, 10, false)
			if test.problem == "" {
				if err := closeWithin(t, p, 20*time.Second); err != nil {
					t.Fatal(err)
				}
				reader, err := tlsconfig.New(TLS{Enabled: true, CertFile: cert, KeyFile: key, SkipVerify: true},
					"kafka")
				if err != nil {
					t.Fatal(err)
				}
				expect(t, consume(t, 10, kgo.SeedBrokers(c.ListenAddrs()...), kgo.DialTLSConfig(reader.Config(""))), 10,
					false)
				return
			}
			waitFor(t, "the messages to be given up",
				func() bool { return p.Stats().Lost[sink.Undelivered].Messages == 10 })
			lines := append(logs.FilterMessage("Kafka broker refuses the connection").All(),
				logs.FilterMessage("Kafka messages failed").All()...)
			if len(lines) != 1 || lines[0].ContextMap()["class"] != "configuration" ||
				!strings.Contains(fmt.Sprint(lines[0].ContextMap()["error"]), test.problem) {
				t.Errorf("said %v", lines)
			}
		})
	}
}

// A certificate that was renewed on disk is in use without a restart.
func TestTLS_renewed(t *testing.T) {
	a := kafkatest.NewAuthority(t)
	later := time.Now().Add(time.Hour)
	cert, key := a.Pair("collector", time.Now().Add(-time.Hour), "")
	c := cluster(t, kfake.TLS(a.Server("127.0.0.1", later)))
	p,
		_ := producer(t, Options{Brokers: c.ListenAddrs(),
		TLS: TLS{Enabled: true, CAFile: a.File(), CertFile: cert, KeyFile: key}})
	enqueue(p, 0, 10, false)
	waitFor(t, "the old one to be refused", func() bool { return p.Stats().LastError != nil })
	newCert, newKey := a.Pair("collector", later, "")
	for from, to := range map[string]string{newCert: cert, newKey: key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "the messages to be delivered", func() bool { return p.Stats().Delivered.Messages == 10 })
}

func TestTLS_files(t *testing.T) {
	a := kafkatest.NewAuthority(t)
	later := time.Now().Add(time.Hour)
	cert, key := a.Pair("collector", later, "secret")
	_, otherKey := a.Pair("other", later, "")
	for _, test := range []struct {
		name, want string
		tls        TLS
	}{
		{"no such authority", "no such file", TLS{CAFile: "/nonexistent/ca.pem"}},
		{"an authority that is none", "holds no PEM certificate", TLS{CAFile: key}},
		{"no such certificate", "no such file", TLS{CertFile: "/nonexistent/cert.pem", KeyFile: key}},
		{"a certificate without its key", "", TLS{CertFile: cert}},
		{"another key", "does not match", TLS{CertFile: cert, KeyFile: otherKey}},
		{"the wrong password", "is the password right?", TLS{CertFile: cert, KeyFile: key, KeyPassword: "wrong"}},
		{"no password", "", TLS{CertFile: cert, KeyFile: key}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.tls.Enabled = true
			_, err := NewProducer(Options{Brokers: []string{"127.0.0.1:1"}, Topic: topic, TLS: test.tls})
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, test.want)
			}
		})
	}
}
