// Package download downloads the files that metadata is read from. A file is downloaded only if it has changed. It is
// written to a temporary file, checked, and renamed: a failed, incomplete or wrong download never replaces a good file.
// The package imports no other package of the collector.
package download

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"golang.org/x/net/http/httpguts"
)

// Options configure a Client. The zero value is usable.
type Options struct {
	Timeout  time.Duration // for the response header, and for each pause in the body; 0: 30 s
	Retries  int           // after a temporary failure; 0: 3, negative: none
	WaitMin  time.Duration // before the first retry, doubled for each further one; 0: 1 s
	MaxBytes int64         // of one file, decompressed; 0: 512 MiB
	Total    time.Duration // for a file with all retries; 0: 30 min
	// Progress, if set, is called while a body is read. total is -1 if the server does not state it.
	Progress func(name string, done, total int64)
	// Transport replaces the default transport, for example in tests with their own certificate.
	Transport http.RoundTripper
}

// Client downloads files. It is safe for concurrent use.
type Client struct {
	options Options
	headers map[string]string
	http    *retryablehttp.Client
}

// Requests are the operator's settings for requests to one list of servers. The zero value has none.
type Requests struct {
	Headers    map[string]string // not sent with a redirect to another host
	CAFile     string            // PEM file with the certificate authorities for the servers; "": the system's
	SkipVerify bool              // accept any certificate
}

// Auth holds credentials for HTTP basic authentication. They are only sent to the host of the URL.
type Auth struct{ Username, Password string }

// ErrNotFound is the response 404 or 410: the file does not exist (yet).
var ErrNotFound = errors.New("not found")

// RetryAfterError is the response of a server that asks us to wait.
type RetryAfterError struct {
	After  time.Duration // as the server says; not limited
	Status string
}

func (e *RetryAfterError) Error() string {
	return fmt.Sprintf("HTTP %s, Retry-After %s", e.Status, e.After)
}

const (
	maxRedirects = 5
	longestWait  = 30 // times WaitMin, between two attempts
)

// With returns a client with other limits that shares everything else. retries < 0: a single attempt.
func (c *Client) With(maxBytes int64, retries int) *Client {
	o := c.options
	o.MaxBytes, o.Transport = maxBytes, c.http.HTTPClient.Transport
	if retries < o.Retries {
		o.Retries = retries
	}
	made := New(o)
	made.setHeaders(c.headers)
	return made
}

// Sending returns a client with other request settings that shares everything else.
func (c *Client) Sending(r Requests) (*Client, error) {
	o := c.options
	o.Transport = c.http.HTTPClient.Transport
	if transport, ok := o.Transport.(*http.Transport); ok && (r.CAFile != "" || r.SkipVerify) {
		transport = transport.Clone()
		if transport.TLSClientConfig == nil {
			transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		transport.TLSClientConfig.InsecureSkipVerify = r.SkipVerify
		if r.CAFile != "" {
			pem, err := os.ReadFile(r.CAFile)
			if err != nil {
				return nil, err
			}
			pool := x509.NewCertPool()
			if !pool.AppendCertsFromPEM(pem) {
				return nil, fmt.Errorf("%s holds no PEM certificate", r.CAFile)
			}
			transport.TLSClientConfig.RootCAs = pool
		}
		o.Transport = transport
	}
	made := New(o)
	made.setHeaders(r.Headers)
	return made, nil
}

// setHeaders adds headers to every request. They are removed when a redirect leads to another host, as they may be
// secrets.
func (c *Client) setHeaders(headers map[string]string) {
	c.headers = headers
	c.http.HTTPClient.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if r.URL.Host != via[0].URL.Host {
			for name := range headers {
				r.Header.Del(name)
			}
		}
		return checkRedirect(r, via)
	}
}

// New returns a Client. TLS certificates are verified.
func New(o Options) *Client {
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Retries == 0 {
		o.Retries = 3
	}
	if o.WaitMin == 0 {
		o.WaitMin = time.Second
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 512 << 20
	}
	if o.Total == 0 {
		o.Total = 30 * time.Minute
	}
	transport := o.Transport
	if transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.ResponseHeaderTimeout = o.Timeout
		transport = t
	}
	c := retryablehttp.NewClient()
	c.HTTPClient = &http.Client{Transport: transport, CheckRedirect: checkRedirect}
	c.Logger = nil
	c.RetryMax = max(o.Retries, 0)
	c.RetryWaitMin = o.WaitMin
	c.RetryWaitMax = longestWait * o.WaitMin
	c.CheckRetry = checkRetry(c.RetryWaitMax)
	// The wait is not the server's choice: if it asks for more than RetryWaitMax, the attempts end with
	// RetryAfterError.
	c.Backoff = func(least, most time.Duration, try int, _ *http.Response) time.Duration {
		return min(least<<min(try, 16), most)
	}
	c.ErrorHandler = retryablehttp.PassthroughErrorHandler
	return &Client{options: o, http: c}
}

// redirectError is an error that a retry would not change.
type redirectError string

func (e redirectError) Error() string { return string(e) }

func checkRedirect(r *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return redirectError(fmt.Sprintf("more than %d redirects", maxRedirects))
	}
	if via[0].URL.Scheme == "https" && r.URL.Scheme != "https" {
		return redirectError("redirected from https to " + r.URL.Scheme)
	}
	return nil
}

func checkRetry(longest time.Duration) retryablehttp.CheckRetry {
	return func(ctx context.Context, response *http.Response, err error) (bool, error) {
		var refused redirectError
		if errors.As(err, &refused) {
			return false, err
		}
		if response != nil && retryAfter(response) > longest {
			return false, nil
		}
		return retryablehttp.DefaultRetryPolicy(ctx, response, err)
	}
}

// retryAfter returns the Retry-After of a 429 or 503 response; 0: none, or not readable.
func retryAfter(response *http.Response) time.Duration {
	if response.StatusCode != http.StatusTooManyRequests && response.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	text := response.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}

// File downloads address to path if it has changed there, and reports whether it has. check, if not nil, validates the
// new file before it replaces the old one. Errors name the address.
func (c *Client) File(ctx context.Context, address, path string, auth Auth,
	check func(path string) error) (changed bool, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", printable(address), err)
		}
	}()
	ctx, stop := context.WithTimeoutCause(ctx, c.options.Total, fmt.Errorf("not done after %s", c.options.Total))
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	known := readValidators(path, address)
	response, err := c.get(ctx, address, auth, known)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && ctx.Err() != nil {
			err = cause
		}
		return false, err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusNotModified && known != (validators{}):
		now := time.Now()
		_ = os.Chtimes(validatorsPath(path), now, now) // without it, Confirmed only returns a time that is too early
		return false, nil
	case response.StatusCode == http.StatusNotFound || response.StatusCode == http.StatusGone:
		return false, fmt.Errorf("%w (HTTP %d)", ErrNotFound, response.StatusCode)
	case retryAfter(response) > 0:
		return false, &RetryAfterError{After: retryAfter(response), Status: response.Status}
	case response.StatusCode != http.StatusOK:
		return false, fmt.Errorf("HTTP %s", response.Status)
	}
	if err := c.store(response, path, cancel, check); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return false, err
	}
	writeValidators(path, validators{URL: address, ETag: response.Header.Get("ETag"),
		LastModified: response.Header.Get("Last-Modified")})
	return true, nil
}

func (c *Client) get(ctx context.Context, address string, auth Auth, known validators) (*http.Response, error) {
	request, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	if auth != (Auth{}) {
		request.SetBasicAuth(auth.Username, auth.Password)
	}
	request.Header.Set("User-Agent", "flow-collector")
	for name, text := range c.headers {
		request.Header.Set(name, text)
	}
	if known.ETag != "" {
		request.Header.Set("If-None-Match", known.ETag)
	}
	if known.LastModified != "" {
		request.Header.Set("If-Modified-Since", known.LastModified)
	}
	response, err := c.http.Do(request)
	var asURL *url.Error
	if errors.As(err, &asURL) {
		err = asURL.Err // without the URL, which the caller adds
	}
	return response, err
}

// store writes the body to a temporary file beside path and renames it.
func (c *Client) store(response *http.Response, path string, cancel context.CancelCauseFunc,
	check func(string) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails after the rename, as it should
	defer f.Close()
	if err := c.copy(f, response, filepath.Base(path), cancel); err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(0o640), f.Sync(), f.Close()); err != nil {
		return err
	}
	if check != nil {
		if err := check(f.Name()); err != nil {
			return fmt.Errorf("the file is not usable, the old one is kept: %w", err)
		}
	}
	return os.Rename(f.Name(), path)
}

func (c *Client) copy(w io.Writer, response *http.Response, name string, cancel context.CancelCauseFunc) error {
	tooBig := fmt.Errorf("more than the %d bytes allowed", c.options.MaxBytes)
	if response.ContentLength > c.options.MaxBytes {
		return tooBig
	}
	silence := time.AfterFunc(c.options.Timeout, func() {
		cancel(fmt.Errorf("no data for %s", c.options.Timeout))
	})
	defer silence.Stop()
	buf := make([]byte, 256<<10)
	for done := int64(0); ; {
		n, err := response.Body.Read(buf)
		silence.Reset(c.options.Timeout)
		if done += int64(n); done > c.options.MaxBytes {
			return tooBig
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		if c.options.Progress != nil {
			c.options.Progress(name, done, response.ContentLength)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("after %d bytes: %w", done, err)
		}
	}
}

// validators are the ETag and the like that the server sent with the present file. They are stored in a file beside it.
// A file without a version number is of version 1; one of a newer version is ignored, so that the data is downloaded
// again.
type validators struct {
	Version      int    `json:"version,omitempty"`
	URL          string `json:"url"` // without secrets
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"last_modified,omitempty"`
}

// Confirmed returns when the server last confirmed that the file at path is the newest.
func Confirmed(path string) (time.Time, error) {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}, err
	}
	latest := info.ModTime()
	if said, err := os.Stat(validatorsPath(path)); err == nil && said.ModTime().After(latest) {
		latest = said.ModTime()
	}
	return latest, nil
}

const validatorsVersion = 1

func validatorsPath(path string) string { return path + ".http" }

// readValidators returns no validators if the file is missing or came from another address.
func readValidators(path, address string) validators {
	if _, err := os.Stat(path); err != nil {
		return validators{}
	}
	data, err := os.ReadFile(validatorsPath(path))
	if err != nil {
		return validators{}
	}
	var v validators
	if json.Unmarshal(data, &v) != nil || v.Version > validatorsVersion || v.URL != printable(address) {
		return validators{}
	}
	// No request can be sent with them, so that the file would never be downloaded again.
	if !httpguts.ValidHeaderFieldValue(v.ETag) || !httpguts.ValidHeaderFieldValue(v.LastModified) {
		return validators{}
	}
	v.Version = 0
	return v
}

// writeValidators ignores errors: without validators the file is downloaded again next time.
func writeValidators(path string, v validators) {
	v.Version, v.URL = validatorsVersion, printable(v.URL)
	data, err := json.Marshal(v)
	if err == nil {
		_ = os.Remove(validatorsPath(path)) // it may have the file mode of an older version
		err = os.WriteFile(validatorsPath(path), data, 0o640)
	}
	if err != nil {
		_ = os.Remove(validatorsPath(path))
	}
}

func printable(address string) string { return WithoutSecrets(address) }

var (
	secretName  = regexp.MustCompile(`(?i)(token|key|secret|passw|pwd|auth|sig|credential|session|code|jwt)`)
	secretValue = regexp.MustCompile(`^[A-Za-z0-9+/=_.~-]{20,}$`)
)

// WithoutSecrets returns an address that may be shown and stored: without password, without a user name that serves as
// one, and without values of query parameters that look like secrets, by name or by form.
func WithoutSecrets(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		if before, _, found := strings.Cut(address, "?"); found {
			return before + "?xxxxx"
		}
		return address
	}
	if u.User != nil {
		if _, has := u.User.Password(); !has {
			u.User = url.User("xxxxx")
		}
	}
	if u.RawQuery != "" {
		parts := strings.Split(u.RawQuery, "&")
		for i, part := range parts {
			name, value, found := strings.Cut(part, "=")
			if text, err := url.QueryUnescape(value); err == nil {
				value = text
			}
			switch {
			case found && (secretName.MatchString(name) || secretValue.MatchString(value)):
				parts[i] = name + "=xxxxx"
			case !found && secretValue.MatchString(name):
				parts[i] = "xxxxx"
			}
		}
		u.RawQuery = strings.Join(parts, "&")
	}
	u.Fragment = ""
	return u.Redacted()
}
