package main

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/pipeline"
	"github.com/metranova/flow-collector/sink/kafka"
	"github.com/metranova/flow-collector/sink/message"
	"github.com/metranova/flow-collector/sink/spool"
	"github.com/metranova/flow-collector/sink/tally"
)

// kafkaOptions say where messages go and how.
func kafkaOptions(cfg *config.Config, log *zap.Logger) kafka.Options {
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

// openKafkaSpool opens the directory where messages wait for Kafka; nil where none is configured or nothing goes to
// Kafka.
func openKafkaSpool(cfg *config.Config, log *zap.Logger, book *tally.Book) (*spool.Spool, error) {
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

// startProducer starts the producer, if messages go to Kafka. The service closes the spool.
func (s *service) startProducer(disk *spool.Spool) (err error) {
	if s.cfg.Kafka.Topic == "" {
		return nil
	}
	o := kafkaOptions(s.cfg, s.log)
	o.Spool, s.kafkaSpool, o.Book = disk, disk, s.books.messages
	s.producer, err = kafka.NewProducer(o)
	return err
}

// batchBytes is how much a worker puts into a batch of messages.
const batchBytes = 1 << 20

// encodeMessages has a worker make messages of its rows too.
func (s *service) encodeMessages(o *pipeline.Options) {
	if s.producer == nil {
		return
	}
	k, p := &s.cfg.Kafka, s.cfg.Policy
	o.Encoder = message.NewEncoder(k.Format, k.Key, message.Layout{
		CollectorID: s.cfg.CollectorID, PolicyOriginator: p.Originator, PolicyLevel: p.Level,
		IPRefExtensions: s.settings.IPRefExtensions,
		WithoutColumns:  s.settings.WithoutColumns,
	})
	o.Batch = s.producer.Batch()
	o.BatchBytes, o.Linger = batchBytes, k.Linger
	if o.Produce == nil {
		o.Produce = s.producer.Enqueue
	}
	o.NextBatch = s.producer.Batch
}

// closeKafka delivers what is left until ctx ends.
func (s *service) closeKafka(ctx context.Context) error {
	if s.producer == nil {
		return nil
	}
	err := s.producer.Close(ctx)
	if s.kafkaSpool != nil {
		if closeErr := s.kafkaSpool.Close(); err == nil {
			err = closeErr
		}
	}
	return err
}

// produced is what became of messages.
type produced struct {
	topic                     string // "": there are none
	messages, waiting, onDisk uint64
}

// addMessages puts what became of messages into the summary.
func (s *service) addMessages(sum *summary) {
	if s.producer == nil {
		return
	}
	stats := s.producer.Stats()
	encoded := uint64(0)
	for _, w := range s.workers {
		encoded += w.Messages()
	}
	sum.decoded = !s.cfg.Server.Flows
	sum.produced = produced{
		topic: s.cfg.Kafka.Topic, messages: stats.Delivered.Messages, onDisk: stats.Spool.Waiting.Rows,
		waiting: stats.Queued.Messages + encoded - min(encoded, stats.Enqueued.Messages), // those in the making too
	}
	for _, reason := range kafka.Reasons() {
		if n := stats.Lost[reason].Messages; n > 0 {
			sum.losses = append(sum.losses, loss{n, "messages " + string(reason), "Kafka"})
		}
	}
}

// String says what became of messages, for people.
func (p produced) String() string {
	text := fmt.Sprintf("%d messages in Kafka's topic %s", p.messages, p.topic)
	if p.waiting > 0 {
		text += fmt.Sprintf(", %d not confirmed", p.waiting)
	}
	if p.onDisk > 0 {
		text += fmt.Sprintf(", %d wait in the spool until it takes them", p.onDisk)
	}
	return text
}
