package logging

import (
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Sampled writes at most so many lines of one text and level a minute, and drops the others: whoever connects again and
// again, or reports again and again, must not fill the log.
func Sampled(log *zap.Logger, most int) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Minute, most, 0)
	}))
}
