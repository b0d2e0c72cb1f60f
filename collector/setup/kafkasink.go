package setup

import (
	"context"
	"fmt"
	"net"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/kafka"
	"github.com/metranova/flow-collector/sink/message"
)

// kafkaSink is a topic that rows go to as messages, where one is set.
func kafkaSink(cfg *config.Config) Sink {
	k := &cfg.Kafka
	return Sink{
		Info: sink.Info{
			Name: "kafka", Title: "Kafka", Unit: "messages", Done: "produced", Place: "Kafka's topic " + k.Topic,
			Reasons: texts(kafka.Reasons()),
		},
		Used: k.Topic != "", Takes: k.Topic != "",
		Spool: SpoolDirectory{What: "Kafka spool", Path: k.SpoolPath, PathKey: "kafka.spool_path",
			MaxBytes: k.SpoolMaxBytes, Key: "kafka.spool_max_bytes", Log: "kafka.spool",
			QueueBytes: k.QueueBytes, QueueKey: "kafka.queue_bytes"},
		Keys:     "kafka.",
		Check:    func(ctx context.Context) (string, error) { return checkKafka(ctx, cfg) },
		Warnings: kafkaWarnings(k),
		Open:     func(p Parts) (sink.Sink, error) { return openKafkaSink(cfg, p) },
	}
}

func openKafkaSink(cfg *config.Config, p Parts) (sink.Sink, error) {
	o := kafka.SinkOptions{
		Options: Kafka(cfg, p.Log), Format: cfg.Kafka.Format, Key: cfg.Kafka.Key, Linger: cfg.Kafka.Linger,
		Layout: message.Layout{
			CollectorID: cfg.CollectorID, PolicyOriginator: cfg.Policy.Originator, PolicyLevel: cfg.Policy.Level,
			IPRefExtensions: p.Settings.IPRefExtensions, WithoutColumns: p.Settings.WithoutColumns,
			Extensions: p.Settings.FlowExtensions,
		},
	}
	o.Spool, o.Book = p.Spool, p.Book
	s, err := kafka.NewSink(o)
	if err != nil {
		return nil, err // not a nil *kafka.Sink, which would be a sink
	}
	return s, nil
}

// Kafka say where messages go and how.
func Kafka(cfg *config.Config, log *zap.Logger) kafka.Options {
	k := &cfg.Kafka
	o := kafka.Options{
		Brokers: k.Brokers, Topic: k.Topic, ClientID: k.ClientID,
		TLS: kafka.TLS{
			Enabled: k.UsesTLS(), CAFile: k.CAFile, CertFile: k.CertFile, KeyFile: k.KeyFile,
			KeyPassword: k.KeyPassword,
			ServerName:  k.ServerName, SkipName: k.Identification == "none", SkipVerify: k.SkipVerify,
		},
		Compression: k.Compression, Acks: k.Acks, NotIdempotent: !k.Idempotent, CreateTopic: k.CreateTopic,
		MaxBatchBytes: k.MaxBatchBytes, QueueBytes: int64(k.QueueBytes), DeliveryTimeout: k.DeliveryTimeout,
		Log: log.Named("kafka"),
	}
	if k.UsesSASL() {
		o.SASL = kafka.SASL{Mechanism: k.SASLMechanism, Username: k.Username, Password: k.Password}
	}
	return o
}

// checkKafka tries to talk to the brokers, if messages go there.
func checkKafka(ctx context.Context, cfg *config.Config) (string, error) {
	switch k := &cfg.Kafka; {
	case k.Topic == "" && len(k.Brokers) > 0:
		return "brokers are known, and nothing is sent to them: kafka.topic (KAFKA_OUTPUT_TOPIC) is not set", nil
	case k.Topic == "":
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return kafka.Check(ctx, Kafka(cfg, zap.NewNop()))
}

// kafkaWarnings are those of the way to Kafka.
func kafkaWarnings(k *config.Kafka) []Warning {
	switch {
	case k.Topic == "":
	case k.UsesSASL() && !k.UsesTLS():
		for _, broker := range k.Brokers {
			if host, _, err := net.SplitHostPort(broker); err != nil || !IsThisHost(host) {
				return []Warning{{"kafka.security_protocol", fmt.Sprintf(
					"the SASL password for %s goes over the network without TLS: use SASL_SSL", broker)}}
			}
		}
	case k.UsesTLS() && k.SkipVerify:
		return []Warning{{"kafka.skip_verify",
			"anyone between here and the brokers can read what goes there: set kafka.ca_file instead"}}
	}
	return nil
}
