package page

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What is no subject has a page that says so, and names nothing of the request unescaped.
func TestAbout_refused(t *testing.T) {
	p := pages(t)
	p.Off = "there is no store"
	for _, query := range []string{"", "as=x", "ip=1.2.3", "dog=1", "if=", "as=" + strings.Repeat("1", 300),
		"ip=%3Cscript%3E"} {
		r := httptest.NewRequest("GET", "/about?"+query, nil)
		r.RemoteAddr = "127.0.0.1:1"
		w := httptest.NewRecorder()
		p.admit(p.about).ServeHTTP(w, r)
		if body := w.Body.String(); w.Code != http.StatusBadRequest || strings.Contains(body, "<script>") ||
			!strings.Contains(body, `role="alert"`) {
			t.Errorf("%s: %d\n%s", query, w.Code, body)
		}
	}
}
