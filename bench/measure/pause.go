package measure

import (
	"context"
	"time"
)

// Pause waits for d. If the context ends before, it returns the context's error.
func Pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
