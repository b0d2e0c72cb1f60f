package logging

import (
	"testing"

	"go.uber.org/zap/zapcore"
)

func TestLogLevel(t *testing.T) {
	for name, want := range map[string]zapcore.Level{"debug": zapcore.DebugLevel, "warn": zapcore.WarnLevel,
		"nonsense": zapcore.InfoLevel} {
		if got := Level(name); got != want {
			t.Errorf("%s is %s", name, got)
		}
	}
}
