package scratch

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Store is the HTTP interface of a store, as HOST:PORT. It needs no password where the store is of the same user.
type Store string

// Read sends a query and returns its answer as it is. The error has the query and the server's message.
func (s Store) Read(ctx context.Context, query string) ([]byte, error) {
	return s.post(ctx, "/", query, strings.NewReader(query))
}

// Insert sends the data of an INSERT statement that ends with the name of the data's format, as the collector does.
func (s Store) Insert(ctx context.Context, statement string, data []byte) error {
	_, err := s.post(ctx, "/?"+url.Values{"query": {statement}}.Encode(), statement, bytes.NewReader(data))
	return err
}

func (s Store) post(ctx context.Context, path, query string, body io.Reader) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+string(s)+path, body)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", query, strings.TrimSpace(string(text)))
	}
	return text, err
}

// Ask sends a query and returns its lines of tab-separated values.
func (s Store) Ask(ctx context.Context, query string) ([][]string, error) {
	body, err := s.Read(ctx, query+" FORMAT TSV")
	if err != nil {
		return nil, err
	}
	var lines [][]string
	for line := range strings.SplitSeq(strings.TrimSpace(string(body)), "\n") {
		if line != "" {
			lines = append(lines, strings.Split(line, "\t"))
		}
	}
	return lines, nil
}

// Numbers returns the values of a query that returns one line of unsigned integers.
func (s Store) Numbers(ctx context.Context, query string) ([]uint64, error) {
	lines, err := s.Ask(ctx, query)
	if err != nil {
		return nil, err
	}
	if len(lines) != 1 {
		return nil, fmt.Errorf("%s: %d lines", query, len(lines))
	}
	all := make([]uint64, len(lines[0]))
	for i, text := range lines[0] {
		if all[i], err = strconv.ParseUint(text, 10, 64); err != nil {
			return nil, fmt.Errorf("%s: %w", query, err)
		}
	}
	return all, nil
}
