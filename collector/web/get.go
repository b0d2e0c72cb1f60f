package web

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
)

// Reachable is where this host reaches what listens on an address: on loopback, if it listens on all addresses.
func Reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return listen
}

// A StatusError is an answer with another status than 200.
type StatusError struct {
	URL, Status string
}

func (e *StatusError) Error() string { return fmt.Sprintf("%s answers HTTP %s", e.URL, e.Status) }

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 20

// Get asks the server of a running collector, as http://host:port, for a path. With a *StatusError it returns the text
// of the answer too.
func Get(ctx context.Context, server, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("no collector answers at %s (http.listen): %w", server, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = &StatusError{server, answer.Status}
	}
	return text, err
}
