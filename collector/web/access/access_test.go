package access

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// usersFile has the user anna with the password "secret".
func usersFile(t *testing.T, lines ...string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "users")
	text := strings.ReplaceAll(strings.Join(lines, "\n"), "HASH", string(hash))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestViewers(t *testing.T) {
	users, err := LoadUsers(usersFile(t, "# people", "", "anna:HASH"))
	if err != nil {
		t.Fatal(err)
	}
	proxy := []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
	const here, proxied, away = "127.0.0.1:1", "192.0.2.1:1", "198.51.100.1:1"
	for _, test := range []struct {
		name    string
		viewers Viewers
		from    string
		set     func(*http.Request)
		want    int
	}{
		{"all", Viewers{}, away, nil, 200},
		{"local, from here", Viewers{LocalOnly: true}, here, nil, 200},
		{"local, from here by IPv6", Viewers{LocalOnly: true}, "[::1]:1", nil, 200},
		{"local, mapped", Viewers{LocalOnly: true}, "[::ffff:127.0.0.1]:1", nil, 200},
		{"local, from elsewhere", Viewers{LocalOnly: true}, away, nil, 403},
		{"local, by a proxy", Viewers{LocalOnly: true}, here,
			func(r *http.Request) { r.Header.Set("X-Forwarded-For", "192.0.2.9") }, 403},
		{"local, under another site's name", Viewers{LocalOnly: true}, here,
			func(r *http.Request) { r.Host = "rebound.example.com:8080" }, 403},
		{"local, under a name of ours", Viewers{LocalOnly: true, Hosts: []string{"collector.example.net"}}, here,
			func(r *http.Request) { r.Host = "collector.example.net:8080" }, 200},
		{"users, none given", Viewers{Users: users}, here, nil, 401},
		{"users, right", Viewers{Users: users}, away, func(r *http.Request) { r.SetBasicAuth("anna", "secret") }, 200},
		{"users, wrong", Viewers{Users: users}, away, func(r *http.Request) { r.SetBasicAuth("anna", "Secret") }, 401},
		{"users, empty", Viewers{Users: users}, away, func(r *http.Request) { r.SetBasicAuth("anna", "") }, 401},
		{"users, unknown", Viewers{Users: users}, away, func(r *http.Request) { r.SetBasicAuth("otto", "secret") },
			401},
		{"users, long", Viewers{Users: users}, away,
			func(r *http.Request) { r.SetBasicAuth("anna", "secret"+strings.Repeat("x", 100)) }, 401},
		{"proxy", Viewers{Users: users, Header: "X-User", Proxies: proxy}, proxied,
			func(r *http.Request) { r.Header.Set("X-User", "anna") }, 200},
		{"proxy with two users", Viewers{Users: users, Header: "X-User", Proxies: proxy}, proxied,
			func(r *http.Request) { r.Header["X-User"] = []string{"anna", "otto"} }, 400},
		{"a proxy where there are no users", Viewers{LocalOnly: true, Header: "X-User", Proxies: proxy}, proxied,
			func(r *http.Request) { r.Header.Set("X-User", "anna") }, 403},
		{"proxy without a user", Viewers{Users: users, Header: "X-User", Proxies: proxy}, proxied, nil, 401},
		{"not the proxy", Viewers{Users: users, Header: "X-User", Proxies: proxy}, away,
			func(r *http.Request) { r.Header.Set("X-User", "anna") }, 401},
		{"no proxy trusted", Viewers{LocalOnly: true}, away, func(r *http.Request) { r.Header.Set("", "anna") }, 403},
	} {
		r := httptest.NewRequest("GET", "http://localhost:8080/explore", nil)
		r.RemoteAddr = test.from
		if test.set != nil {
			test.set(r)
		}
		w := httptest.NewRecorder()
		if ok := test.viewers.Viewer(w, r) != nil; ok != (test.want == 200) || !ok && w.Code != test.want {
			t.Errorf("%s: %t, %d", test.name, ok, w.Code)
		}
		if test.want == 401 && w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%s: the browser is not told to ask", test.name)
		}
	}
}

// A proxy that keeps the name which a client sends lets the client choose one: several names are refused, however they
// come, and with a right password beside them too. A name with a comma is one if the file has it.
func TestViewers_severalNames(t *testing.T) {
	users, err := LoadUsers(usersFile(t, "anna:HASH", "CN=Ben,O=Example:*:comm:x"))
	if err != nil {
		t.Fatal(err)
	}
	v := Viewers{Users: users, Header: "X-User", Proxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}}
	for name, test := range map[string]struct {
		values []string
		want   int
		who    string
	}{
		"one":                     {[]string{"otto"}, 200, "otto"},
		"spaces around":           {[]string{" otto\t"}, 200, "otto"},
		"none":                    {nil, 200, "anna"}, // by the password
		"empty":                   {[]string{" "}, 200, "anna"},
		"two lines":               {[]string{"otto", "anna"}, 400, ""},
		"the same twice":          {[]string{"otto", "otto"}, 400, ""},
		"a line and an empty one": {[]string{"", "otto"}, 400, ""},
		"joined":                  {[]string{"otto, anna"}, 400, ""},
		"joined without a space":  {[]string{"anna,otto"}, 400, ""},
		"joined with nothing":     {[]string{"otto,"}, 400, ""},
		"nothing joined":          {[]string{","}, 400, ""},
		"of a certificate":        {[]string{"cn=ben,o=example"}, 200, "CN=Ben,O=Example"},
		"joined to it":            {[]string{"CN=Ben,O=Example, anna"}, 400, ""},
	} {
		r := httptest.NewRequest("GET", "http://localhost:8080/explore", nil)
		r.RemoteAddr = "192.0.2.1:1"
		r.SetBasicAuth("anna", "secret")
		r.Header["X-User"] = test.values
		w := httptest.NewRecorder()
		who := v.Viewer(w, r)
		if w.Code != test.want || (who == nil) != (test.who == "") || who != nil && who.Name != test.who {
			t.Errorf("%s: %d, %+v, want %d, %s", name, w.Code, who, test.want, test.who)
		}
		if v.SeesAll(r) != (test.want == 200 && test.who != "CN=Ben,O=Example") {
			t.Errorf("%s: who sees all", name)
		}
	}
	// Others than the proxy are not asked: the header says nothing of them.
	r := httptest.NewRequest("GET", "http://localhost:8080/explore", nil)
	r.RemoteAddr = "198.51.100.1:1"
	r.SetBasicAuth("anna", "secret")
	r.Header["X-User"] = []string{"a", "b"}
	if who := v.Viewer(httptest.NewRecorder(), r); who == nil || who.Name != "anna" {
		t.Errorf("not from the proxy: %+v", who)
	}
}

// Users may be limited to policy scopes.
func TestUsers_scopes(t *testing.T) {
	users, err := LoadUsers(usersFile(t, "anna:HASH", "ben:HASH:comm:lhcone, as:64500", "carl:*:comm:x",
		"*:*:comm:guests"))
	if err != nil {
		t.Fatal(err)
	}
	v := Viewers{Users: users, Header: "X-User", Proxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}}
	for _, test := range []struct{ name, password, want string }{
		{"anna", "secret", ""}, {"ben", "secret", "comm:lhcone as:64500"}, {"carl", "", "comm:x"},
		{"dora", "", "comm:guests"},
	} {
		r := httptest.NewRequest("GET", "http://localhost:8080/explore", nil)
		r.RemoteAddr = "192.0.2.1:1"
		if test.password == "" {
			r.Header.Set("X-User", test.name)
		} else {
			r.SetBasicAuth(test.name, test.password)
		}
		who := v.Viewer(httptest.NewRecorder(), r)
		if who == nil || who.Name != test.name || strings.Join(who.Scopes, " ") != test.want {
			t.Errorf("%s: %+v, want %s", test.name, who, test.want)
		}
	}
	for name, want := range map[string]bool{"anna": true, "ben": false, "otto": false} {
		r := httptest.NewRequest("GET", "http://localhost:8080/", nil)
		r.SetBasicAuth(name, "secret")
		if got := v.SeesAll(r); got != want {
			t.Errorf("%s sees all: %t", name, got)
		}
	}
	if knows(users, "carl", "") || knows(users, "carl", "*") || knows(users, "*", "") {
		t.Error("a line without a password lets one in")
	}
}

// Directories take a name in any capitals: whom a proxy names so is the user of the line, with its limits, and not one
// who has no line. Passwords are of the name as it is.
func TestUsers_capitals(t *testing.T) {
	users, err := LoadUsers(usersFile(t, "Ben:HASH:comm:lhcone"))
	if err != nil {
		t.Fatal(err)
	}
	v := Viewers{Users: users, Header: "X-User", Proxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}}
	for _, name := range []string{"Ben", "ben", "BEN"} {
		r := httptest.NewRequest("GET", "http://localhost:8080/explore", nil)
		r.RemoteAddr = "192.0.2.1:1"
		r.Header.Set("X-User", name)
		who := v.Viewer(httptest.NewRecorder(), r)
		if who == nil || who.Name != "Ben" || strings.Join(who.Scopes, " ") != "comm:lhcone" {
			t.Errorf("%s: %+v", name, who)
		}
	}
	for name, same := range map[string]bool{"kim": true, "KIM": true, "\u212aim": false, "k\u0131m": false,
		"k\u0130m": false} {
		if got := folded(name) == folded("Kim"); got != same {
			t.Errorf("%q is Kim: %v", name, got)
		}
	}
	if folded("JOSÉ") != folded("josé") || folded("\u017fam") == folded("Sam") {
		t.Error("letters that are not of ASCII")
	}
	if knows(users, "ben", "secret") || !knows(users, "Ben", "secret") {
		t.Error("capitals of a name with a password do not matter")
	}
	path := usersFile(t, "anna:HASH", "", "ANNA:*:comm:x")
	_, err = LoadUsers(path)
	if err == nil || !strings.HasPrefix(err.Error(), path+":3: anna and ANNA differ in capitals") {
		t.Errorf("two lines of one user: %v", err)
	}
}

// knows is Users.knows of a client that has no other guess waiting.
func knows(u *Users, name, password string) bool {
	_, known, err := u.knows(name, password, netip.Addr{})
	return known && err == nil
}

// Guesses wait for each other. They keep nobody out whose password is known already, and no other address.
func TestUsers_guesses(t *testing.T) {
	users, err := LoadUsers(usersFile(t, "anna:HASH", "ben:HASH"))
	if err != nil {
		t.Fatal(err)
	}
	if !knows(users, "anna", "secret") {
		t.Fatal("anna is not known")
	}
	users.comparing.Lock() // every further guess waits
	attackers := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"),
		netip.MustParseAddr("2001:db8::")} // the last one has many addresses
	const each = 20
	ended := make(chan error, each*len(attackers))
	for _, from := range attackers {
		for range each {
			if from.Is6() {
				from = from.Next()
			}
			go func(from netip.Addr) {
				_, known, err := users.knows("ben", "guess", from)
				if known {
					err = errors.New("a wrong password is right")
				}
				ended <- err
			}(from)
		}
	}
	for range (each - waitingOfOne) * len(attackers) {
		if err := <-ended; !errors.Is(err, errBusy) {
			t.Errorf("a guess too many: %v", err)
		}
	}
	if !knows(users, "anna", "secret") {
		t.Error("anna waits for the guesses of others")
	}
	ben := make(chan bool)
	go func() { ben <- knows(users, "ben", "secret") }()
	users.comparing.Unlock()
	if !<-ben {
		t.Error("ben from another address is kept out")
	}
	for range waitingOfOne * len(attackers) {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if len(users.waiting) != 0 {
		t.Errorf("%v wait", users.waiting)
	}
}

// A changed file holds for the next request; one that cannot be read leaves what was there.
func TestUsers_changed(t *testing.T) {
	path := usersFile(t, "anna:HASH")
	users, err := LoadUsers(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // compared, then remembered
		if !knows(users, "anna", "secret") {
			t.Error("anna is not known")
		}
	}
	change := func(text string, age time.Duration) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, users.read.ModTime().Add(age)); err != nil {
			t.Fatal(err)
		}
	}
	change("otto:"+string(users.hashes["anna"]), time.Second)
	if knows(users, "anna", "secret") || !knows(users, "otto", "secret") {
		t.Error("a changed file does not hold")
	}
	change("karl:"+string(users.hashes["otto"])+"\n", 0) // as cp -p does
	if knows(users, "otto", "secret") || !knows(users, "karl", "secret") {
		t.Error("a changed file of the same time does not hold")
	}
	var said []string
	users.Report = func(err error) { said = append(said, fmt.Sprint(err)) }
	good := "karl:" + string(users.hashes["karl"]) + "\n"
	change("nonsense", time.Second)
	for range 2 {
		if !knows(users, "karl", "secret") {
			t.Error("a file that cannot be read took the users away")
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	users.named("karl")
	change(good, 2*time.Second)
	knows(users, "karl", "secret")
	if len(said) != 3 || !strings.Contains(said[0], path+":1: this is not NAME:HASH") ||
		!strings.Contains(said[1], "no such file") || said[2] != "<nil>" {
		t.Errorf("it says %q", said)
	}
}

func TestLoadUsers_refused(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "there are no users in it",
		"# nobody":                            "there are no users in it",
		"anna:secret":                         ":1: this is not NAME:HASH",
		"\nanna":                              ":2: this is not NAME:HASH",
		":HASH":                               ":1: this is not NAME:HASH",
		"a:HASH:":                             ":1: no policy scope",
		"a:HASH: , ":                          ":1: no policy scope",
		"a:*":                                 ":1: this is not NAME:HASH",
		"a:{SHA}x":                            ":1: this is not NAME:HASH",
		"a:$apr1$x$y":                         ":1: this is not NAME:HASH",
		"a:$2y$31$" + strings.Repeat("a", 53): "has the cost 31",
	} {
		if _, err := LoadUsers(usersFile(t, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if _, err := LoadUsers("/does/not/exist"); err == nil {
		t.Error("no file is read")
	}
}
