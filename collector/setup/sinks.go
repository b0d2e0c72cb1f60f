package setup

import (
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/sink/kafka"
	"github.com/metranova/flow-collector/sink/quarantine"
	"github.com/metranova/flow-collector/sink/spool"
	"github.com/metranova/flow-collector/sink/tally"
)

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

// KafkaSpool opens the directory where messages wait for Kafka; nil where none is configured or nothing goes to
// Kafka.
func KafkaSpool(cfg *config.Config, log *zap.Logger, book *tally.Book) (*spool.Spool, error) {
	if cfg.Kafka.Topic == "" || cfg.Kafka.SpoolPath == "" {
		return nil, nil
	}
	o := spool.Options{
		Dir: cfg.Kafka.SpoolPath, MaxBytes: int64(cfg.Kafka.SpoolMaxBytes), MaxAge: cfg.Spool.MaxAge,
		Log: log.Named("kafka.spool"),
	}
	book.Keep(&o)
	return spool.Open(o)
}

// Quarantine is where refused rows go; nil where none is configured.
func Quarantine(cfg *config.Config) *quarantine.Quarantine {
	if cfg.Quarantine.Path == "" {
		return nil
	}
	return quarantine.New(quarantine.Options{Dir: cfg.Quarantine.Path, MaxBytes: int64(cfg.Quarantine.MaxBytes)})
}

// Spool opens the directory where inserts wait for a server that is down; nil where none is configured. What it
// finds and what it drops is written down in the book.
func Spool(cfg *config.Config, log *zap.Logger, book *tally.Book) (*spool.Spool, error) {
	if cfg.Spool.Path == "" {
		return nil, nil
	}
	o := spool.Options{
		Dir: cfg.Spool.Path, MaxBytes: int64(cfg.Spool.MaxBytes), MaxAge: cfg.Spool.MaxAge, Log: log.Named("spool"),
	}
	book.Keep(&o)
	return spool.Open(o)
}
