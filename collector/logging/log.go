// Package logging writes log lines for people, and never makes whoever writes a line wait for its reader.
package logging

import (
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Level is the level of a name that the configuration takes.
func Level(name string) zapcore.Level {
	level, err := zapcore.ParseLevel(name)
	if err != nil {
		return zapcore.InfoLevel
	}
	return level
}

// Stderr writes lines for people to stderr.
func Stderr(level string) *zap.Logger { return To(zapcore.Lock(os.Stderr), level) }

// To writes lines for people. out must be safe for concurrent use.
func To(out zapcore.WriteSyncer, level string) *zap.Logger {
	encoder := zap.NewProductionEncoderConfig()
	encoder.EncodeTime = zapcore.ISO8601TimeEncoder
	encoder.EncodeLevel = zapcore.CapitalLevelEncoder
	encoder.EncodeDuration = zapcore.StringDurationEncoder
	encoder.ConsoleSeparator = " "
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(encoder), out, Level(level)))
}

// ForStore writes the lines of the store's process, to which this one adds the time.
func ForStore() *zap.Logger {
	encoder := zap.NewProductionEncoderConfig()
	encoder.TimeKey = ""
	encoder.EncodeLevel = zapcore.CapitalLevelEncoder
	encoder.EncodeDuration = zapcore.StringDurationEncoder
	encoder.ConsoleSeparator = " "
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(encoder), zapcore.Lock(os.Stderr), zapcore.InfoLevel))
}
