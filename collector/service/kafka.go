package service

import (
	"context"

	"github.com/metranova/flow-collector/collector/pipeline"
	"github.com/metranova/flow-collector/collector/report"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/sink/kafka"
	"github.com/metranova/flow-collector/sink/message"
	"github.com/metranova/flow-collector/sink/spool"
)

// startProducer starts the producer, if messages go to Kafka. The service closes the spool.
func (s *service) startProducer(disk *spool.Spool) (err error) {
	if s.cfg.Kafka.Topic == "" {
		return nil
	}
	o := setup.Kafka(s.cfg, s.log)
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

// addMessages puts what became of messages into the summary.
func (s *service) addMessages(sum *report.Summary) {
	if s.producer == nil {
		return
	}
	stats := s.producer.Stats()
	encoded := uint64(0)
	for _, w := range s.workers {
		encoded += w.Messages()
	}
	sum.Decoded = !s.cfg.Server.Flows
	sum.Produced = report.Produced{
		Topic: s.cfg.Kafka.Topic, Messages: stats.Delivered.Messages, OnDisk: stats.Spool.Waiting.Rows,
		Waiting: stats.Queued.Messages + encoded - min(encoded, stats.Enqueued.Messages), // those in the making too
	}
	for _, reason := range kafka.Reasons() {
		if n := stats.Lost[reason].Messages; n > 0 {
			sum.Losses = append(sum.Losses, report.NewLoss(n, "messages "+string(reason), "Kafka"))
		}
	}
}
