package web

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// Forms of the page come through. Those of other sites, whatever a browser says of them, do not.
func TestServer_handlePost(t *testing.T) {
	s := listenForTest(t, Options{Hosts: []string{"collector.example.net"}})
	got := ""
	s.HandlePost("/change", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		got = string(text)
	}))
	ours := "http://" + strings.TrimPrefix(s.URL(), "http://")
	for _, test := range []struct {
		name, method, path, host string
		headers                  []string
		want                     int
	}{
		{"a program", "POST", "/change", "", nil, 200},
		{"our page", "POST", "/change", "", []string{"Sec-Fetch-Site", "same-origin", "Origin", ours}, 200},
		{"our page, of an old browser", "POST", "/change", "", []string{"Origin", ours}, 200},
		{"our page, under our name", "POST", "/change", "collector.example.net", nil, 200},
		{"another site", "POST", "/change", "", []string{"Sec-Fetch-Site", "cross-site", "Origin",
			"https://evil.example"}, 403},
		{"another site, of an old browser", "POST", "/change", "", []string{"Origin", "https://evil.example"}, 403},
		{"a page without an origin", "POST", "/change", "", []string{"Origin", "null"}, 403},
		{"another port of this host", "POST", "/change", "", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"another site's name for us", "POST", "/change", "rebound.example.com", nil, 421},
		{"another method", "PUT", "/change", "", nil, 405},
		{"another path", "POST", "/change/more", "", nil, 405},
		{"reading", "GET", "/change", "", nil, 405},
	} {
		got = ""
		r, err := http.NewRequestWithContext(t.Context(), test.method, s.URL()+test.path, strings.NewReader("text"))
		if err != nil {
			t.Fatal(err)
		}
		if test.host != "" {
			r.Host = test.host
		}
		for i := 0; i+1 < len(test.headers); i += 2 {
			r.Header.Set(test.headers[i], test.headers[i+1])
		}
		answer, _ := do(t, r)
		if answer.StatusCode != test.want || (got == "text") != (test.want == 200) {
			t.Errorf("%s: %s, the handler got %q", test.name, answer.Status, got)
		}
	}
}

// Without names in the settings every name is answered, but nothing can be changed under one.
func TestServer_handlePostWithoutNames(t *testing.T) {
	s := listenForTest(t, Options{})
	s.HandlePost("/change", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it came through") }))
	r, err := http.NewRequestWithContext(t.Context(), "POST", s.URL()+"/change", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "rebound.example.com"
	if answer, _ := do(t, r); answer.StatusCode != http.StatusForbidden {
		t.Error(answer.Status)
	}
}

// What pages of other sites load is refused on every path; links to a page are followed.
func TestServer_otherSites(t *testing.T) {
	s := listenForTest(t, Options{PProf: true})
	s.Handle("GET /explore", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for _, test := range []struct {
		name    string
		headers []string
		want    int
	}{
		{"a program", nil, 200},
		{"our page", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"},
			200},
		{"an address that somebody types", []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate",
			"Sec-Fetch-Dest", "document"}, 200},
		{"a link", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest",
			"document"}, 200},
		{"an image", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"},
			403},
		{"fetch", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}, 403},
		{"a frame", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"},
			403},
		{"an image of another port of this host", []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "no-cors",
			"Sec-Fetch-Dest", "image"}, 403},
	} {
		for _, path := range []string{"/explore", "/healthz", "/debug/pprof/cmdline"} {
			if answer, _ := get(t, s, path, test.headers...); answer.StatusCode != test.want {
				t.Errorf("%s, %s: %s", test.name, path, answer.Status)
			}
		}
	}
}
