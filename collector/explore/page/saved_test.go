package page

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/explore"
	"github.com/metranova/flow-collector/collector/explore/views"
	"github.com/metranova/flow-collector/collector/web"
	"github.com/metranova/flow-collector/collector/web/access"
	"github.com/metranova/flow-collector/sink/schema"
)

// savingPages answer at the address, for those who may look.
func savingPages(t *testing.T, viewers access.Viewers) (p *Pages, at string) {
	t.Helper()
	server, err := web.Listen(web.Options{Address: "127.0.0.1:0", Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	s := schema.Default()
	p = &Pages{Log: zap.NewNop(), Viewers: viewers, Off: "there is no store", Views: views.In(t.TempDir()),
		Explorer: &explore.Explorer{Planner: explore.NewPlanner(&s), Now: time.Now}}
	p.Mount(server)
	return p, server.URL()
}

func post(t *testing.T, address string, form url.Values, set func(*http.Request)) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if set != nil {
		set(r)
	}
	return send(t, r)
}

// send does not follow where the answer leads.
func send(t *testing.T, r *http.Request) *http.Response {
	t.Helper()
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

func text(t *testing.T, address string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", address, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := out.ReadFrom(send(t, r).Body); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// A view is saved by a form, stands on the page, goes out as a file and comes in again.
func TestSaved(t *testing.T) {
	p, at := savingPages(t, access.Viewers{LocalOnly: true})
	answer := post(t, at+"/views", url.Values{"do": {"save"}, "name": {evil}, "query": {"by=src.as&last=24h"}}, nil)
	if answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != "explore?by=src.as&last=24h" {
		t.Errorf("%s to %s", answer.Status, answer.Header.Get("Location"))
	}
	body := text(t, at+"/explore?by=src.as&last=24h")
	if !strings.Contains(body, `aria-current="page">&lt;script&gt;`) || strings.Contains(body, evil) {
		t.Errorf("the view is not on the page:\n%s", body)
	}
	exported := text(t, at+"/views.json")
	if answer := post(t, at+"/views", url.Values{"do": {"delete"}, "name": {evil}},
		nil); answer.StatusCode != http.StatusSeeOther {
		t.Error(answer.Status)
	}
	var form bytes.Buffer
	out := multipart.NewWriter(&form)
	part, err := out.CreateFormFile("file", "views.json")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = part.Write([]byte(exported))
	_ = out.WriteField("do", "import")
	_ = out.Close()
	r, err := http.NewRequestWithContext(t.Context(), "POST", at+"/views", &form)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", out.FormDataContentType())
	if answer := send(t, r); answer.StatusCode != http.StatusSeeOther {
		t.Error(answer.Status)
	}
	if list, err := p.Views.List(); err != nil || len(list) != 1 || list[0].Name != evil {
		t.Errorf("%v, %v", list, err)
	}
	for _, form := range []url.Values{{"do": {"save"}, "name": {""}},
		{"do": {"save"}, "name": {"x"}, "query": {"view=x"}},
		{"do": {"delete"}, "name": {"nothing"}}, {"do": {"import"}}, {"name": {"x"}}, {}} {
		if answer := post(t, at+"/views", form, nil); answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%v: %s", form, answer.Status)
		}
	}
}

// Who may look without saying who it is may not save; a user may not change what another saved.
func TestSaved_who(t *testing.T) {
	form := url.Values{"do": {"save"}, "name": {"mine"}, "query": {""}}
	p, at := savingPages(t, access.Viewers{})
	if answer := post(t, at+"/views", form, nil); answer.StatusCode != http.StatusForbidden {
		t.Errorf("everybody saves: %s", answer.Status)
	}
	if body := text(t, at+"/explore"); strings.Contains(body, `method="post"`) {
		t.Error("there is a form to save with")
	}
	if list, _ := p.Views.List(); len(list) != 0 {
		t.Errorf("saved: %v", list)
	}
	// The password of both is "secret".
	const hash = "$2y$05$3KyJLAl5VeyAR7Gk8bJdUeq5Mxfqj8DwNDIcvArZwUaEsS6q7QT/2"
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte("anna:"+hash+"\nben:"+hash+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	users, err := access.LoadUsers(path)
	if err != nil {
		t.Fatal(err)
	}
	p, at = savingPages(t, access.Viewers{Users: users})
	as := func(name string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(name, "secret") }
	}
	for _, test := range []struct {
		set  func(*http.Request)
		want int
	}{{nil, 401}, {as("anna"), 303}, {as("ben"), 403}, {as("anna"), 303}} {
		if answer := post(t, at+"/views", form, test.set); answer.StatusCode != test.want {
			t.Errorf("%s, want %d", answer.Status, test.want)
		}
	}
	if list, err := p.Views.List(); err != nil || len(list) != 1 || list[0].Owner != "anna" {
		t.Errorf("%v, %v", list, err)
	}
}
