package explore

import (
	"strings"
	"testing"
	"time"
)

// Each subject has its facts, and each of its questions an answer.
func testSubjects(t *testing.T, e *Explorer) {
	for _, test := range []struct{ kind, id, ref, facts string }{
		{"as", "AS64500", "", "id=64500 name=UNI-A organization_id=uni organization=Université de Genève"},
		{"as", "64999", "", ""},
		{"ip", "192.0.2.7", "campus__v1",
			"id=campus ip_subnet=192.0.2.0/24 city_name=Geneva country_name=Switzerland country_code=CH"},
		{"ip", "::ffff:198.51.100.9", "", ""},
		{"if", "r1::up", "",
			"id=r1::up type=physical description=to the world device_id=r1 name=up speed=10000 Mbit/s " +
				"circuit_id=c1, c2"},
		{"circuit", "c1", "", ""},
		{"device", "r1", "", "id=r1 type=router loopback_ip=192.0.2.250, 2001:db8::250 hostname=r1.example.net " +
			"location_name=PoP 1 network=core"},
		{"org", "Université de Genève", "", "id=uni name=Université de Genève"},
	} {
		s, err := ParseSubject(test.kind, test.id)
		if err != nil {
			t.Error(err)
			continue
		}
		facts, err := e.Facts(t.Context(), s, test.ref)
		if err != nil {
			t.Errorf("%v: %v", s, err)
		}
		var got []string
		for _, f := range facts {
			if f.Name != "insert_time" {
				got = append(got, f.Name+"="+f.Value)
			}
		}
		if text := strings.Join(got, " "); text != test.facts {
			t.Errorf("%v: %s, want %s", s, text, test.facts)
		}
		for _, x := range s.Questions() {
			if _, err := e.Ask(t.Context(), x.Question); err != nil {
				t.Errorf("%v: %s: %v", s, x.Title, err)
			}
		}
	}
	first, last, err := e.Seen(t.Context(), "ip = 192.0.2.7", nil, 7)
	if err != nil || !first.Equal(noon.Add(-time.Hour)) || !last.Equal(noon.Add(-time.Minute)) {
		t.Errorf("seen from %s to %s, %v", first, last, err)
	}
	if first, _, err := e.Seen(t.Context(), "ip = 192.0.2.99", nil, 7); err != nil || !first.IsZero() {
		t.Errorf("what was never seen: %s, %v", first, err)
	}
	for _, bad := range [][2]string{{"as", "x"}, {"ip", "1.2.3"}, {"ip", "fe80::1%eth0"}, {"if", ""}, {"dog", "x"}} {
		if s, err := ParseSubject(bad[0], bad[1]); err == nil {
			t.Errorf("%v is a subject", s)
		}
	}
	for _, test := range [][3]string{{"src.as", "AS64500", "AS64500"}, {"next.as", "AS1", "AS1"},
		{"dst.ip", "192.0.2.7", "192.0.2.7"},
		{"in.if", "r1::up", "r1::up"}, {"circuit", "c1", "c1"}, {"proto", "tcp", ""}, {"src.as", "", ""}} {
		s, ok := e.Planner.SubjectOf(test[0], test[1])
		if ok != (test[2] != "") || ok && s.Label() != test[2] {
			t.Errorf("%v is of %+v", test, s)
		}
	}
}

func TestPlanner_Subjects(t *testing.T) {
	s := testSettings()
	p := NewPlanner(&s)
	for text, want := range map[string]string{"": "", "src.as = 64500": "AS64500", "192.0.2.7": "192.0.2.7",
		"as = AS64500 and dst = 192.0.2.7 and proto = tcp": "AS64500 192.0.2.7", "not as = 1": "",
		"as = 1 or as = 2":    "",
		"src in 192.0.2.0/24": "", "src = 192.0.2.0/24": "", "device = r1 and if = r1::up": "r1 r1::up", "org = u*": "",
		"country = CH": "", "org = unknown": "", "(": ""} {
		var got []string
		for _, subject := range p.Subjects(text) {
			got = append(got, subject.Label())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s is about %q, want %s", text, got, want)
		}
	}
}
