package web

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
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

// Get asks the server of a running collector, as http://host:port or http://user:password@host:port, for a path. With a
// *StatusError it returns the text of the answer too.
func Get(ctx context.Context, server, path string) ([]byte, error) {
	body, err := open(ctx, server, path)
	if body == nil {
		return nil, err
	}
	defer body.Close()
	text, readErr := io.ReadAll(io.LimitReader(body, maxAnswer))
	if err == nil {
		err = readErr
	}
	return text, err
}

// Download is Get for answers of any length, which go to out. Where the server does not answer 200 the error has the
// text of the answer, and nothing is written.
func Download(ctx context.Context, server, path string, out io.Writer) error {
	body, err := open(ctx, server, path)
	if body == nil {
		return err
	}
	defer body.Close()
	if err != nil {
		text, _ := io.ReadAll(io.LimitReader(body, 4096))
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(text))
	}
	if _, err := io.Copy(out, body); err != nil {
		return fmt.Errorf("read what the collector sends: %w", err)
	}
	return nil
}

// open asks for a path. The body is nil if nobody answers; with another status than 200 there are a body and an error.
func open(ctx context.Context, server, path string) (io.ReadCloser, error) {
	shown := server // without a password
	if u, err := url.Parse(server); err == nil {
		shown = u.Redacted()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("no collector answers at %s (http.listen): %w", shown, err)
	}
	if answer.StatusCode != http.StatusOK {
		return answer.Body, &StatusError{shown, answer.Status}
	}
	return answer.Body, nil
}
