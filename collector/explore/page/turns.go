package page

import "context"

// turns bounds how many requests use the store at once. Its capacity is that number.
type turns chan struct{}

// take waits for a turn, which leave ends. Its only error is errOthers. A free turn is taken even if the time is up: it
// was the store that took it, not others, and says so.
func (t turns) take(ctx context.Context) (leave func(), err error) {
	leave = func() { <-t }
	select {
	case t <- struct{}{}:
		return leave, nil
	default:
	}
	select {
	case t <- struct{}{}:
		return leave, nil
	case <-ctx.Done():
		return nil, errOthers
	}
}
