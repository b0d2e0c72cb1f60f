// Package access decides who may see what the pages of the collector show of the traffic and of routes: clients on this
// host, users of a file, or users whom a proxy names.
package access

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/crypto/bcrypt"

	"github.com/metranova/flow-collector/collector/diskfile"
	"github.com/metranova/flow-collector/collector/web"
	"github.com/metranova/flow-collector/sink/connlimit"
)

// Viewers decides who may see the traffic. With the zero value everyone may. Its fields do not change once it is in
// use; its methods are safe for concurrent use.
type Viewers struct {
	// LocalOnly admits clients on this host only. Requests through a proxy on this host are not admitted.
	LocalOnly bool
	// Hosts lists the names that LocalOnly allows in the Host header, besides localhost and addresses. Otherwise a page
	// of another site could read the traffic after it points its own name at this host (DNS rebinding).
	Hosts []string
	// Users, if not nil, admits users by name and password.
	Users *Users
	// Header is the header in which a proxy at one of Proxies gives the name of an authenticated user. "": no proxy is
	// trusted.
	Header  string
	Proxies []netip.Prefix
}

// Viewer is the sender of an admitted request. Name is "" where users have no names. Saves says whether the viewer may
// save views, which is not so where everyone is admitted: anyone could fill the list.
type Viewer struct {
	Name   string
	Saves  bool
	Scopes []string // policy scopes whose flows may be seen; none: all
}

// Viewer returns the viewer of a request. If the viewer is not admitted, it answers the request and returns nil.
func (v *Viewers) Viewer(w http.ResponseWriter, r *http.Request) *Viewer {
	who, err := v.viewer(r)
	switch {
	case err == nil:
		return who
	case errors.Is(err, errLocalOnly):
		http.Error(w, err.Error(), http.StatusForbidden)
	case errors.Is(err, errSeveral):
		http.Error(w, err.Error(), http.StatusBadRequest)
	case errors.Is(err, errBusy):
		w.Header().Set("Retry-After", "5")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	default:
		w.Header().Set("WWW-Authenticate", `Basic realm="flow collector", charset="UTF-8"`)
		http.Error(w, err.Error(), http.StatusUnauthorized)
	}
	return nil
}

// SeesAll reports whether the viewer of a request is admitted, and may see the flows of all policy scopes.
func (v *Viewers) SeesAll(r *http.Request) bool {
	who, err := v.viewer(r)
	return err == nil && len(who.Scopes) == 0
}

// Why a viewer is not admitted, besides errBusy.
var (
	errLocalOnly = errors.New("only this host may look at the traffic (http.explore: local), under the name " +
		"localhost: open a tunnel, such as ssh -L 8080:localhost:8080, or set http.explore to users or all")
	errNoUser  = errors.New("a name and a password are needed to look at the traffic")
	errSeveral = errors.New("the proxy names more than one user (http.user_header): it must replace the header that " +
		"a client sends, and not add its own")
)

// viewer returns the viewer of a request, or errLocalOnly, errNoUser, errSeveral or errBusy.
func (v *Viewers) viewer(r *http.Request) (*Viewer, error) {
	switch {
	case v.Users == nil && !v.LocalOnly:
		return &Viewer{}, nil
	case v.LocalOnly && isLocal(r) && web.KnownHost(append([]string{"localhost"}, v.Hosts...), r.Host):
		return &Viewer{Saves: true}, nil
	case v.Users == nil:
		return nil, errLocalOnly
	}
	switch name, err := v.nameFromProxy(r); {
	case err != nil:
		return nil, err
	case name != "":
		name, scopes := v.Users.named(name)
		return &Viewer{name, true, scopes}, nil
	}
	if name, password, ok := r.BasicAuth(); ok {
		from, _ := netip.ParseAddrPort(r.RemoteAddr)
		scopes, known, err := v.Users.knows(name, password, from.Addr())
		if known {
			return &Viewer{name, true, scopes}, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, errNoUser
}

// Admit lets those pass who may look at all traffic. Users who may see the flows of some policy scopes only are
// refused: what next shows is not of one scope.
func (v *Viewers) Admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := v.Viewer(w, r)
		switch {
		case who == nil:
		case len(who.Scopes) > 0:
			http.Error(w, "this is shown to users who may see all traffic", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// nameFromProxy returns the user that a trusted proxy names; "" if none does. Several names are an error, whatever
// password comes with them: of a proxy that adds its own name and keeps the client's, clients could choose theirs. They
// are in several headers or, since whoever passes these on may join them, in one with commas between (RFC 9110, section
// 5.3). A name that has a comma, such as that of a certificate, is one if the file of users has it.
func (v *Viewers) nameFromProxy(r *http.Request) (string, error) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if v.Header == "" || err != nil ||
		!slices.ContainsFunc(v.Proxies, func(p netip.Prefix) bool { return p.Contains(from.Addr().Unmap()) }) {
		return "", nil
	}
	switch names := r.Header.Values(v.Header); len(names) {
	case 0:
		return "", nil
	case 1:
		name := strings.TrimSpace(names[0])
		if strings.Contains(name, ",") && !v.Users.has(name) {
			return "", errSeveral
		}
		return name, nil
	}
	return "", errSeveral
}

// isLocal reports whether a request comes from this host, and not from a proxy on it.
func isLocal(r *http.Request) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && from.Addr().Unmap().IsLoopback()
}

// Users are names and the bcrypt hashes of their passwords, from a file as `htpasswd -B` writes it. A line may go on
// with a colon and the policy scopes whose flows the user may see, with commas between. The hash * lets nobody in by a
// password: such a line has the scopes of a user whom a proxy names. The name * is for all who have no line. Capitals
// of a name that a proxy gives do not matter, because directories that proxies ask take any; a file with two names that
// differ in nothing else is refused. A changed file is read again. Its methods are safe for concurrent use.
type Users struct {
	// Report, if not nil, is told when a changed file cannot be read, with nil when it can be again. It is set before
	// the first request, and called one at a time.
	Report func(error)

	path string

	mu   sync.Mutex
	read fs.FileInfo // of the file that hashes are from; nil: none
	lines
	// problem is why the file cannot be read now; "" if it can.
	problem string
	// known are digests of names and passwords that were right. bcrypt takes tens of milliseconds by design, and a page
	// asks for several files.
	known map[[sha256.Size]byte]bool
	key   [32]byte // of the digests
	// waiting are guesses that are compared or wait for it, by the client.
	waiting map[netip.Prefix]int

	comparing sync.Mutex // held while a guess is compared
}

// lines are what a file of users says, by name.
type lines struct {
	hashes map[string][]byte
	scopes map[string][]string // policy scopes of those who may not see all
	names  map[string]string   // the names as the file has them, by folded
}

// folded returns a name as it is for comparisons in which capitals do not matter. A letter beyond ASCII stays apart
// from those in it: to Unicode ı, ſ and the Kelvin sign are other forms of i, s and k, and who registers such a name
// elsewhere must not become a user of the file.
func folded(name string) string {
	return strings.Map(func(r rune) rune {
		if small := unicode.ToLower(unicode.ToUpper(r)); (small <= unicode.MaxASCII) == (r <= unicode.MaxASCII) {
			return small
		}
		return r
	}, name)
}

// Bounds of what a file of users and a client may cost.
const (
	mostUsers    = 10_000
	mostKnown    = 1_000
	longPassword = 72 // bcrypt looks at no more
	mostWaiting  = 16 // guesses
	waitingOfOne = 4  // of them from one client, as connlimit.Host has it
	maxCost      = 14 // of bcrypt: some seconds a guess
)

// LoadUsers reads the file. Its error names the file and the line.
func LoadUsers(path string) (*Users, error) {
	u := &Users{path: path}
	if _, err := rand.Read(u.key[:]); err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return u, u.load()
}

// load reads the file if it has changed. The caller holds mu, or nobody else has u yet.
func (u *Users) load() error {
	if u.path == "" {
		return nil // a proxy alone knows users
	}
	info, err := os.Stat(u.path)
	if err != nil {
		return fmt.Errorf("read users: %w", err)
	}
	if !diskfile.Changed(u.read, info) {
		return nil
	}
	found, err := readUsers(u.path)
	if err != nil {
		return err
	}
	u.lines, u.read, u.known = *found, info, map[[sha256.Size]byte]bool{}
	return nil
}

// reload is load for a request. A file that cannot be read leaves what it had: editors replace files, and a wrong line
// must not lock everybody out. Each new reason is reported once. The caller holds mu.
func (u *Users) reload() {
	err, problem := u.load(), ""
	if err != nil {
		problem = err.Error()
	}
	if problem != u.problem && u.Report != nil {
		u.Report(err)
	}
	u.problem = problem
}

func readUsers(path string) (*lines, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	defer f.Close()
	found := &lines{map[string][]byte{}, map[string][]string{}, map[string]string{}}
	text := bufio.NewScanner(f)
	for n := 1; text.Scan(); n++ {
		line := strings.TrimSpace(text.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, hash, _ := strings.Cut(line, ":")
		hash, list, limited := strings.Cut(hash, ":")
		cost, err := bcrypt.Cost([]byte(hash))
		if hash == "*" && limited {
			err = nil
		}
		for scope := range strings.SplitSeq(list, ",") {
			if scope = strings.TrimSpace(scope); scope != "" {
				found.scopes[name] = append(found.scopes[name], scope)
			}
		}
		switch {
		case limited && len(found.scopes[name]) == 0:
			return nil, fmt.Errorf("%s:%d: no policy scope stands behind the last colon", path, n)
		case name == "" || err != nil:
			return nil, fmt.Errorf("%s:%d: this is not NAME:HASH with a bcrypt hash, as htpasswd -B writes it",
				path, n)
		case cost > maxCost:
			return nil, fmt.Errorf("%s:%d: the hash of %s has the cost %d, and at most %d is taken", path, n, name,
				cost, maxCost)
		case len(found.hashes) >= mostUsers:
			return nil, fmt.Errorf("%s:%d: more than %d users", path, n, mostUsers)
		}
		if other, ok := found.names[folded(name)]; ok && other != name {
			return nil, fmt.Errorf("%s:%d: %s and %s differ in capitals alone, which is no difference for users "+
				"whom a proxy names", path, n, other, name)
		}
		found.hashes[name], found.names[folded(name)] = []byte(hash), name
	}
	if err := text.Err(); err != nil {
		return nil, fmt.Errorf("read users of %s: %w", path, err)
	}
	if len(found.hashes) == 0 {
		return nil, errors.New(path + ": there are no users in it")
	}
	return found, nil
}

// named returns a user's name as the file has it, and the policy scopes whose flows the user may see; none: all. A user
// without a line has the given name.
func (u *Users) named(name string) (asIs string, scopes []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.reload()
	if line, ok := u.names[folded(name)]; ok {
		return line, u.scopes[line]
	}
	return name, u.scopes["*"]
}

// has reports whether the file has a line of the user.
func (u *Users) has(name string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.reload()
	_, ok := u.names[folded(name)]
	return ok
}

// noHash is compared with where there is no such name, so that names cannot be told by the time that an answer takes.
const noHash = "$2a$10$7EqJtq98hPqEX7fNZaFWoOHi5Hj1MF7/FHT/jJ4Dr7yFHVYGLxzqS"

// errBusy says that a password was not compared.
var errBusy = errors.New("too many passwords are tried at once: try again")

// knows reports whether the password is the name's, and returns the user's policy scopes as the same state of the file
// has them; none: all. One guess is compared at a time, so that guessing takes no more than a core; few may wait for
// that, and nobody whose password was right before waits for them. The only error is errBusy.
func (u *Users) knows(name, password string, from netip.Addr) (scopes []string, known bool, err error) {
	if len(password) > longPassword {
		return nil, false, nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.reload()
	digest := sha256.Sum256(append(u.key[:], name+"\x00"+password...))
	if u.known[digest] {
		return u.scopes[name], true, nil
	}
	hash, ok := u.hashes[name]
	if !ok {
		hash = []byte(noHash)
	}
	right, err := u.compare(hash, password, from)
	if !right || !ok || !bytes.Equal(u.hashes[name], hash) { // the file may have changed
		return nil, false, err
	}
	if len(u.known) >= mostKnown {
		clear(u.known)
	}
	u.known[digest] = true
	return u.scopes[name], true, nil
}

// compare compares a password with a hash when it is its turn. mu is held, and released in the meantime.
func (u *Users) compare(hash []byte, password string, from netip.Addr) (bool, error) {
	all, client := 0, connlimit.Host(from)
	for _, n := range u.waiting {
		all += n
	}
	if all >= mostWaiting || u.waiting[client] >= waitingOfOne {
		return false, errBusy
	}
	if u.waiting == nil {
		u.waiting = map[netip.Prefix]int{}
	}
	u.waiting[client]++
	u.mu.Unlock()
	u.comparing.Lock()
	err := bcrypt.CompareHashAndPassword(hash, []byte(password))
	u.comparing.Unlock()
	u.mu.Lock()
	if u.waiting[client]--; u.waiting[client] == 0 {
		delete(u.waiting, client)
	}
	return err == nil, nil
}
