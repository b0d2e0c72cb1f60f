package page

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/collector/explore"
	"github.com/metranova/flow-collector/collector/web/access"
)

// What is no subject has a page that says so, and names nothing of the request unescaped.
func TestAbout_refused(t *testing.T) {
	p := pages(t)
	p.Off = "there is no store"
	for _, query := range []string{"", "as=x", "ip=1.2.3", "dog=1", "if=", "as=" + strings.Repeat("1", 300),
		"ip=%3Cscript%3E"} {
		w := get(t, p, "/about?"+query)
		if body := w.Body.String(); w.Code != http.StatusBadRequest || strings.Contains(body, "<script>") ||
			!strings.Contains(body, `role="alert"`) {
			t.Errorf("%s: %d\n%s", query, w.Code, body)
		}
	}
}

// The subject is found among parameters that others have added to the address.
func TestSubjectOf(t *testing.T) {
	for query, want := range map[string]string{"as=64500&utm_source=mail": "64500", "aaa=1&ip=192.0.2.1": "192.0.2.1",
		"fbclid=x": "", "": ""} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if s, err := subjectOf(values); s.ID != want || (err == nil) != (want != "") {
			t.Errorf("%s: %+v, %v", query, s, err)
		}
	}
}

// A question that panics costs its panel, not the process: none of its goroutines is the request's.
func TestAbout_panics(t *testing.T) {
	p := pages(t)
	p.Explorer.Now = func() time.Time { panic("no clock") }
	v := &about{}
	ctx := context.WithValue(t.Context(), viewerKey{}, &access.Viewer{})
	p.askPanels(ctx, v, explore.Subject{Kind: explore.SubjectAS, ID: "64500"}.Questions())
	for i := range v.Panels {
		if v.Panels[i].Problem == nil || !strings.Contains(v.Panels[i].Problem.Text, "no clock") {
			t.Errorf("%s: %+v", v.Panels[i].Title, v.Panels[i].Problem)
		}
	}
}
