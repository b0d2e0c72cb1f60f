package kafka

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/lograte"
	"github.com/metranova/flow-collector/sink/tlsconfig"
)

// producerLog logs failures: the first of each kind at once, then at most one a minute, and when they are over.
type producerLog struct {
	log     *zap.Logger
	topic   string
	limiter lograte.Limiter
}

// connectFailed reports a broker to which we cannot connect.
func (l *producerLog) connectFailed(broker string, err error) {
	class := Classify(err)
	if l.limiter.AllowFailure(sortOf(class, err)) {
		l.log.Warn("Kafka broker refuses the connection", zap.String("broker", broker), zap.Stringer("class", class),
			zap.Error(err))
	}
}

// failed reports messages that failed.
func (l *producerLog) failed(n int, class sink.Class, err error) {
	due := l.limiter.AllowFailure
	if class == sink.Permanent {
		due = l.limiter.Allow
	}
	if due(sortOf(class, err)) {
		l.log.Warn("Kafka messages failed", zap.String("topic", l.topic), zap.Int("messages", n),
			zap.Stringer("class", class), zap.Error(err))
	}
}

// refused reports that brokers have refused all messages for a while.
func (l *producerLog) refused(since time.Duration, class sink.Class, err error) {
	if l.limiter.AllowFailure(sortOf(class, err)) {
		l.log.Warn("Kafka takes no messages", zap.String("topic", l.topic),
			zap.Duration("since", since.Round(time.Second)),
			zap.Stringer("class", class), zap.Error(err))
	}
}

// sortOf returns the same key for a failure to connect and for the messages that fail because of it.
func sortOf(class sink.Class, err error) string {
	var answer *kerr.Error
	switch {
	case errors.As(err, &answer):
		return class.String() + answer.Message
	case tlsconfig.IsFailure(err):
		return class.String() + "TLS"
	}
	return class.String()
}

// delivered reports that messages were acknowledged.
func (l *producerLog) delivered() {
	if l.limiter.Recovered() {
		l.log.Info("Kafka takes messages again", zap.String("topic", l.topic))
	}
}

// lost reports lost messages.
func (l *producerLog) lost(n Count, reason sink.Reason, err error) {
	if l.limiter.Allow("lost " + string(reason)) {
		l.log.Error("Kafka messages lost", zap.String("reason", string(reason)), zap.String("topic", l.topic),
			zap.Uint64("messages", n.Messages), zap.Uint64("bytes", n.Bytes), zap.Error(err))
	}
}

// spooled reports messages that went to disk.
func (l *producerLog) spooled(n Count) {
	if l.limiter.Allow("spooled") {
		l.log.Warn("Kafka messages wait on disk", zap.String("topic", l.topic), zap.Uint64("messages", n.Messages))
	}
}

// notSpooled reports messages that could not be written to disk.
func (l *producerLog) notSpooled(n Count, err error) {
	if l.limiter.Allow("not spooled") {
		l.log.Error("Kafka messages cannot wait on disk", zap.Uint64("messages", n.Messages), zap.Error(err))
	}
}

// grown reports that the batch size is back at its setting.
func (l *producerLog) grown(bytes int) {
	l.log.Info("Kafka takes batches of max_batch_bytes again", zap.Int("bytes", bytes))
}

// otherVersion reports a batch on disk that another version of this program wrote.
func (l *producerLog) otherVersion(messages int, err error) {
	if l.limiter.Allow("version") {
		l.log.Error("Kafka messages on disk are of another version of this program and stay there",
			zap.Int("messages", messages),
			zap.Error(err))
	}
}

// shrunk reports that batches become smaller.
func (l *producerLog) shrunk(bytes int, err error) {
	if !l.limiter.Allow("shrunk") {
		return
	}
	l.log.Warn("Kafka takes smaller batches than max_batch_bytes: they are halved", zap.Int("now", bytes),
		zap.Error(err))
}

// notCreated reports a topic that could not be created.
func (l *producerLog) notCreated(err error) {
	if l.limiter.Allow("topic") {
		l.log.Warn("Kafka topic cannot be created", zap.String("topic", l.topic), zap.Error(err))
	}
}
