package store

import (
	"context"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
)

// The door decides who may send a statement, in this order: the name that the client calls this store by, what its
// browser says of the page that sends the request, and the password. A page on the web can have a browser on this host
// send requests here; the first two keep those out, whether or not a password is known to the browser.

// door is immutable once the store listens. It is safe for concurrent use.
type door struct {
	user, password string
	// trustUser lets processes of the store's own user in without the password, over loopback.
	trustUser bool
	// hint says where the password is found, for the message to those who lack it.
	hint  string
	names []string // in lower case: the listen address, this host and store.hosts
	hosts []string // store.hosts alone
}

func newDoor(o Options) *door {
	d := &door{user: o.User, password: o.Password, hosts: lower(o.Hosts)}
	d.names = append(d.names, d.hosts...)
	if host, _, err := net.SplitHostPort(o.Listen); err == nil && host != "" {
		d.names = append(d.names, strings.ToLower(host))
	}
	if name, err := os.Hostname(); err == nil {
		d.names = append(d.names, strings.ToLower(name))
	}
	return d
}

func lower(names []string) []string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = strings.ToLower(strings.TrimSuffix(name, "."))
	}
	return all
}

// refuse says why a request is not taken, nil if it is.
func (d *door) refuse(r *http.Request) *exception {
	if e := d.refuseName(r); e != nil {
		return e
	}
	if e := d.refuseForeignPage(r); e != nil {
		return e
	}
	return d.authenticate(r)
}

// refuseName keeps out names that somebody else made lead here: a page's own name that its DNS server gives the address
// of this host (DNS rebinding).
func (d *door) refuseName(r *http.Request) *exception {
	name := hostOf(r.Host)
	if isLoopbackName(name) || slices.Contains(d.names, name) {
		return nil
	}
	// The address that the client connected to, where the store listens on all of them.
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && hostOf(local.String()) == name &&
		name != "" {
		return nil
	}
	return newException(codeAuthenticationFailed, "AUTHENTICATION_FAILED",
		"This store is not known as %q: use its address, or add the name to store.hosts (STORE_HOSTS)", name)
}

// refuseForeignPage keeps pages of other sites from sending statements. Browsers say where a request comes from in
// Sec-Fetch-Site, to this host itself at least, and with POST in Origin.
func (d *door) refuseForeignPage(r *http.Request) *exception {
	for _, site := range r.Header.Values("Sec-Fetch-Site") {
		if site != "same-origin" && site != "none" {
			return newException(codeAuthenticationFailed, "AUTHENTICATION_FAILED",
				"The store takes no requests from pages of other sites (Sec-Fetch-Site: %s)", site)
		}
	}
	for _, text := range r.Header.Values("Origin") {
		if !d.knowsOrigin(text, r.Host) {
			return newException(codeAuthenticationFailed, "AUTHENTICATION_FAILED",
				"The store takes no requests from pages of other sites (Origin: %s)", text)
		}
	}
	return nil
}

// knowsOrigin is true for a page of this store itself, and for pages of store.hosts. The request's Host, which host is,
// is known already.
func (d *door) knowsOrigin(text, host string) bool {
	origin, err := url.Parse(text)
	if err != nil || origin.Host == "" || origin.Scheme != "http" && origin.Scheme != "https" {
		return false
	}
	return strings.EqualFold(origin.Host, host) || slices.Contains(d.hosts, hostOf(origin.Host))
}

// allowOrigin lets the page that asks read the answer, if its site is known.
func (d *door) allowOrigin(h http.Header, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || d.refuseName(r) != nil || !d.knowsOrigin(origin, r.Host) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Add("Vary", "Origin")
	return true
}

// hostOf is the host of host:port in lower case, without brackets and a dot at its end.
func hostOf(hostPort string) string {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		host = hostPort
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// isLoopbackName is true for localhost and loopback addresses.
func isLoopbackName(name string) bool {
	if strings.EqualFold(name, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return err == nil && addr.Unmap().IsLoopback()
}

// credentials are the user and password of a request, wherever ClickHouse allows them to stand.
func credentials(r *http.Request) (user, password string) {
	switch {
	case r.Header.Get("X-ClickHouse-User") != "" || r.Header.Get("X-ClickHouse-Key") != "":
		user, password = r.Header.Get("X-ClickHouse-User"), r.Header.Get("X-ClickHouse-Key")
	case r.Header.Get("Authorization") != "":
		user, password, _ = r.BasicAuth()
	default:
		q := r.URL.Query()
		user, password = q.Get("user"), q.Get("password")
	}
	if user == "" {
		user = "default"
	}
	return user, password
}

// authenticate compares in constant time. A request without a password is asked for one (a browser then asks its user),
// unless it comes from a process of the store's own user.
func (d *door) authenticate(r *http.Request) *exception {
	user, password := credentials(r)
	sameUser := subtle.ConstantTimeCompare([]byte(user), []byte(d.user)) == 1
	samePassword := subtle.ConstantTimeCompare([]byte(password), []byte(d.password)) == 1
	switch {
	case sameUser && samePassword:
		return nil
	case sameUser && password == "" && d.trustUser && isLoopbackName(hostOf(r.Host)) && isOwnConnection(r.Context()):
		return nil
	case password == "" && d.password != "":
		return newException(codeRequiredPassword, "REQUIRED_PASSWORD",
			"%s: Authentication failed: a password is required%s", user, d.hint)
	}
	return newException(codeAuthenticationFailed, "AUTHENTICATION_FAILED",
		"%s: Authentication failed: password is incorrect, or there is no user with such name.", user)
}

type connectionKey struct{}

// rememberConnection gives the requests of a connection what isOwnConnection needs.
func rememberConnection(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, c)
}

// isOwnConnection is true where the other end of the request's connection is a socket of this process's user on this
// host.
func isOwnConnection(ctx context.Context) bool {
	c, ok := ctx.Value(connectionKey{}).(*net.TCPConn)
	if !ok {
		return false
	}
	uid, ok := peerUser(c)
	return ok && uid == os.Geteuid() && uid != overflowUser
}
