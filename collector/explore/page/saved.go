package page

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/explore"
	"github.com/metranova/flow-collector/collector/explore/views"
	"github.com/metranova/flow-collector/collector/web/access"
)

// saved fills the template of saved views.
type saved struct {
	Views   []savedView
	Saves   bool     // this viewer may save
	Names   []string // of the views that this viewer may delete
	Name    string   // of the view that the page shows
	Problem string
}

type savedView struct {
	Name, Owner, Address string
	Current              bool
}

func (p *Pages) addViews(v *view, who *access.Viewer, q explore.Question) {
	if p.Views == nil {
		return
	}
	v.Saved = &saved{Saves: who.Saves}
	list, err := p.Views.List()
	if err != nil {
		p.Log.Debug("saved views cannot be read", zap.Error(err))
		v.Saved.Problem, v.Saved.Saves = err.Error(), false
	}
	here := q.Values().Encode()
	for _, x := range list {
		current := x.Query == here
		v.Saved.Views = append(v.Saved.Views, savedView{x.Name, x.Owner, addressOf(x.Query), current})
		if current {
			v.Saved.Name = x.Name
		}
		if who.Saves && x.Owner == who.Name {
			v.Saved.Names = append(v.Saved.Names, x.Name)
		}
	}
}

// addressOf returns the address of the page with a question's parameters.
func addressOf(query string) string {
	if query == "" {
		return address
	}
	return address + "?" + query
}

// exportViews answers with the saved views as a file, which another collector can import.
func (p *Pages) exportViews(w http.ResponseWriter, _ *http.Request) {
	list, err := p.Views.List()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	var out bytes.Buffer
	if err := views.Write(&out, list); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = out.WriteTo(w)
}

// changeViews saves, deletes or imports views for a form of the page, and redirects to the page.
func (p *Pages) changeViews(w http.ResponseWriter, r *http.Request) {
	who := viewerOf(r.Context())
	if !who.Saves {
		http.Error(w, "everybody may look here, so nobody may save", http.StatusForbidden)
		return
	}
	back, err := p.changedViews(r, who)
	if err != nil {
		status := http.StatusBadRequest
		if errors.Is(err, views.ErrOwner) {
			status = http.StatusForbidden
		}
		http.Error(w, err.Error(), status)
		return
	}
	w.Header().Set("Location", back) // relative: a proxy may have put the page elsewhere
	w.WriteHeader(http.StatusSeeOther)
}

// changedViews does what the form asks, and returns the page to go back to.
func (p *Pages) changedViews(r *http.Request, who *access.Viewer) (back string, err error) {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
		err = r.ParseMultipartForm(1 << 20)
		defer func() {
			if r.MultipartForm != nil {
				err = errors.Join(err, r.MultipartForm.RemoveAll())
			}
		}()
	} else {
		err = r.ParseForm()
	}
	if err != nil {
		return "", errors.New("the form cannot be read, or is too large")
	}
	switch name := r.PostFormValue("name"); r.PostFormValue("do") {
	case "save":
		values, err := url.ParseQuery(r.PostFormValue("query"))
		if err != nil {
			return "", errors.New("the parameters of the view cannot be read")
		}
		v := views.View{Name: name, Query: values.Encode(), Owner: who.Name, Saved: time.Now().UTC()}
		return addressOf(values.Encode()), p.Views.Save([]views.View{v}, who.Name, false)
	case "delete":
		return address, p.Views.Delete(name, who.Name, false)
	case "import":
		in, _, err := r.FormFile("file")
		if err != nil {
			return "", errors.New("there is no file in the form")
		}
		defer in.Close()
		list, err := views.Read(io.Reader(in))
		if err != nil {
			return "", err
		}
		for i := range list {
			list[i].Owner = who.Name
		}
		return address, p.Views.Save(list, who.Name, false)
	}
	return "", errors.New("do: save, delete and import are known")
}
