package service

import (
	"context"

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

// batches make messages of a worker's rows.
func (s *service) batches(produce func(*message.Batch)) *kafka.Batches {
	k, p := &s.cfg.Kafka, s.cfg.Policy
	if produce == nil {
		produce = s.producer.Enqueue
	}
	return kafka.NewBatches(kafka.BatchesOptions{
		Encoder: message.NewEncoder(k.Format, k.Key, message.Layout{
			CollectorID: s.cfg.CollectorID, PolicyOriginator: p.Originator, PolicyLevel: p.Level,
			IPRefExtensions: s.settings.IPRefExtensions, WithoutColumns: s.settings.WithoutColumns,
		}),
		Linger: k.Linger, Produce: produce, Next: s.producer.Batch,
	})
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
	encoded := s.rows()
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
