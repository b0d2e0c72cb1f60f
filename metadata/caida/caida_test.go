package caida

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/metadata/download"
	"github.com/metranova/flow-collector/metadata/record"
)

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func packed(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return b.String()
}

// read returns the records of both sets as JSON and the problems, without their directories.
func read(t *testing.T, f Files) (records, problems []string) {
	t.Helper()
	sets, err := Read(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sets {
		err := s.Each(func(r record.Raw, _ string) error {
			for k, v := range r {
				if v == nil {
					delete(r, k)
				}
			}
			text, err := json.Marshal(r)
			records = append(records, strings.ReplaceAll(string(text), `"`, ""))
			return err
		}, func(p record.Problem) {
			problems = append(problems, strings.ReplaceAll(p.String(), filepath.Dir(p.Place)+"/", ""))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return records, problems
}

const as2org = `{"type":"Organization","organizationId":"A","name":"Org A","country":"US"}
{"type":"Organization","organizationId":"@del","country":"CH"}
{"type":"ASN","asn":"64496","organizationId":"A","name":"ONE"}
{"type":"ASN","asn":4200000000,"organizationId":"@del","name":"LARGE"}
{"type":"ASN","asn":"64510","organizationId":"A"}
{"type":"ASN","organizationId":"A","name":"no number"}
{"type":"ASN","asn":"64511","name":"no organization"}

`

func TestAS2Org(t *testing.T) {
	want := []string{
		"{continent_name:North America,country_code:US,country_name:United " +
			"States,ext:{data_source:[CAIDA]},id:caida:A,name:Org A}",
		"{continent_name:Europe,country_code:CH,country_name:Switzerland,ext:{data_source:[CAIDA]},id:caida:@del," +
			"name:Delegated}",
		"{ext:{data_source:[CAIDA]},id:64496,name:ONE,organization_id:caida:A}",
		"{ext:{data_source:[CAIDA]},id:4200000000,name:LARGE,organization_id:caida:@del}",
	}
	for name, text := range map[string]string{"plain.jsonl": as2org, "packed.jsonl.gz": packed(as2org)} {
		records, problems := read(t, Files{AS2Org: file(t, name, text)})
		if diff := cmp.Diff(want, records); diff != "" || problems != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, problems, diff)
		}
	}
	bad := `{"type":"ASN","asn":"AS1","organizationId":"A","name":"x"}` + "\n" +
		`{"type":"ASN","asn":-1,"organizationId":"A","name":"x"}` + "\nhalf a li\n" + as2org
	records, problems := read(t, Files{AS2Org: file(t, "a.jsonl", bad)})
	if diff := cmp.Diff(want, records); diff != "" {
		t.Errorf("good records beside bad ones (-want +got):\n%s", diff)
	}
	wantProblems := []string{
		`a.jsonl:1: asn: "AS1" is not an AS number`, "a.jsonl:2: asn: -1 is not an AS number",
		"a.jsonl:3: not a JSON object of that form: invalid character 'h' looking for beginning of value",
	}
	if diff := cmp.Diff(wantProblems, problems); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

// TestMerge has PeeringDB's and the operator's additions to what CAIDA says.
func TestMerge(t *testing.T) {
	records, problems := read(t, Files{
		AS2Org: file(t, "a.jsonl", as2org),
		// net comes before org, which is as good.
		PeeringDB: file(t, "p.json", `{"meta":{},"net":{"meta":[],"data":[
			{"org_id":1,"asn":64496,"name":"One","info_ipv6":true,"info_prefixes4":7,"info_types":["NSP"]},
			{"org_id":2,"asn":64496,"name":"second net of the AS"},
			{"org_id":2,"asn":64500,"name":"Only PeeringDB"},
			{"org_id":9,"asn":64501,"name":"its organization is missing"},
			{"org_id":2,"asn":64502},
			{"org_id":2,"asn":64503,"name":5}]},
			"org":{"data":[
			{"id":1,"name":"unused","city":"Los Angeles","state":"CA","country":"MX","latitude":34.5,"longitude":null},
			{"id":2,"name":"Org Two","country":"FR","city":"Paris"},
			{"id":3,"name":"no network"},
			{"id":4,"name":["x"]}]}}`),
		CustomAS: file(t, "as.yml", `data:
  - {id: 64496, name: Ours}
  - {id: 64499, name: New, organization_id: "caida:A"}
  - {id: x}
`),
		CustomOrg: file(t, "org.yml",
			"data:\n  - {id: \"caida:A\", city_name: Reno, type: [university]}\n  - {id: new, name: New}\n"),
	})
	want := []string{
		"{city_name:Reno,continent_name:North America,country_code:US,country_name:United " +
			"States,country_sub_code:CA,country_sub_name:California,ext:{data_source:[CAIDA,PeeringDB]},id:caida:A," +
			"latitude:34.5,name:Org A,type:[university]}",
		"{continent_name:Europe,country_code:CH,country_name:Switzerland,ext:{data_source:[CAIDA]},id:caida:@del," +
			"name:Delegated}",
		"{city_name:Paris,continent_name:Europe,country_code:FR,country_name:France,ext:{data_source:[PeeringDB]}," +
			"id:peeringdb:2,name:Org Two}",
		"{id:new,name:New}",
		"{ext:{data_source:[CAIDA,PeeringDB],peeringdb_ipv6:true,peeringdb_prefixes4:7,peeringdb_prefixes6:null," +
			"peeringdb_ratio:null,peeringdb_scope:null,peeringdb_traffic:null,peeringdb_type:[NSP]},id:64496," +
			"name:Ours,organization_id:caida:A}",
		"{ext:{data_source:[CAIDA]},id:4200000000,name:LARGE,organization_id:caida:@del}",
		"{ext:{data_source:[PeeringDB],peeringdb_ipv6:null,peeringdb_prefixes4:null,peeringdb_prefixes6:null," +
			"peeringdb_ratio:null,peeringdb_scope:null,peeringdb_traffic:null,peeringdb_type:null},id:64500," +
			"name:Only PeeringDB,organization_id:peeringdb:2}",
		"{id:64499,name:New,organization_id:caida:A}",
	}
	if diff := cmp.Diff(want, records); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantProblems := []string{"p.json: name: number instead of string", "p.json: name: array instead of string",
		"as.yml:4: x: id: not an AS number"}
	if diff := cmp.Diff(wantProblems, problems); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

// TestBrokenFiles has files that are refused as a whole, in one line with the path.
func TestBrokenFiles(t *testing.T) {
	whole := packed(as2org)
	for _, c := range []struct {
		name, text string
		peering    bool
		want       string
	}{
		{"gzip cut short", whole[:len(whole)-12], false, ": unexpected EOF"},
		{"page of HTML", "<html>\n</html>\n", false, ": no line of JSON in it"},
		{"empty", "", false, ": no line of JSON in it"},
		{"dump cut short", `{"org":{"data":[{"id":1,"na`, true, ": after 16 bytes: unexpected EOF"},
		{"dump without networks", `{"org":{"data":[{"id":1}]}}`, true,
			": not a PeeringDB dump: no org or no net in it"},
		{"a list", `[]`, true, ": after 1 bytes: [ instead of {"},
	} {
		path := file(t, "broken", c.text)
		f := Files{AS2Org: path}
		if c.peering {
			f = Files{PeeringDB: path}
		}
		if _, err := Read(f); err == nil || err.Error() != path+c.want {
			t.Errorf("%s: %v, want %s%s", c.name, err, path, c.want)
		}
	}
	missing := filepath.Join(t.TempDir(), "none")
	if _, err := Read(Files{PeeringDB: missing}); !errors.Is(err, os.ErrNotExist) ||
		strings.Count(err.Error(), missing) != 1 {
		t.Errorf("missing file: %v", err)
	}
	if _, err := Read(Files{}); err == nil {
		t.Error("no file at all is no error")
	}
}

// TestFetch looks back for the newest file that there is. What is not "not found" ends the search, and a file that is
// none does not replace the one that is there.
func TestFetch(t *testing.T) {
	const dump = `{"org":{"data":[{"id":1}]},"net":{"data":[{"asn":1}]}}`
	now := time.Date(2024, 3, 31, 23, 0, 0, 0, time.FixedZone("west", -8*3600)) // 1 April in UTC
	type fetcher func(ctx context.Context, c *download.Client, base, path string, now time.Time) (bool, error)
	below := func(template string, fetch fetcher) fetcher {
		return func(ctx context.Context, c *download.Client, base, path string, now time.Time) (bool, error) {
			return fetch(ctx, c, base+template, path, now)
		}
	}
	organizations, dumps := below(AS2OrgTemplate, FetchAS2Org), below(PeeringDBTemplate, FetchPeeringDB)
	for _, c := range []struct {
		name   string
		fetch  fetcher
		served map[string]string // text by path; "500" for that status
		asked  int
		want   string // of the error
	}{
		{"this month", organizations, map[string]string{"/as-organizations/20240301.as-org2info.jsonl.gz": as2org}, 1,
			""},
		{"three months back, over the year", organizations,
			map[string]string{"/as-organizations/20231201.as-org2info.jsonl.gz": packed(as2org)}, 4, ""},
		{"none of a year", organizations, nil, 13, "not found (HTTP 404), and neither are the 12 before it"},
		{"HTTP 500 last month", organizations,
			map[string]string{"/as-organizations/20240201.as-org2info.jsonl.gz": "500"}, 2, "HTTP 500"},
		{"a page of HTML", organizations,
			map[string]string{"/as-organizations/20240301.as-org2info.jsonl.gz": "<html>"},
			1, "the old one is kept: no line of JSON in it"},
		{"today's dump, by UTC", dumps,
			map[string]string{"/peeringdb/2024/04/peeringdb_2_dump_2024_04_01.json": dump}, 1, ""},
		{"dump of more than a month ago", dumps,
			map[string]string{"/peeringdb/2024/02/peeringdb_2_dump_2024_02_29.json": dump}, 32, "not found"},
		{"dump of last month", dumps,
			map[string]string{"/peeringdb/2024/03/peeringdb_2_dump_2024_03_30.json": dump}, 3, ""},
		{"half a dump", dumps,
			map[string]string{"/peeringdb/2024/04/peeringdb_2_dump_2024_04_01.json": dump[:30]}, 1, "unexpected EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked := make(chan string, 100)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked <- r.URL.Path
				switch text, ok := c.served[r.URL.Path]; {
				case !ok:
					http.NotFound(w, r)
				case text == "500":
					w.WriteHeader(http.StatusInternalServerError)
				default:
					fmt.Fprint(w, text)
				}
			}))
			defer server.Close()
			path := file(t, "set", "good")
			client := download.New(download.Options{Retries: -1})
			changed, err := c.fetch(context.Background(), client, server.URL, path, now)
			if len(asked) != c.asked {
				t.Errorf("asked for %d files, want %d", len(asked), c.asked)
			}
			text, _ := os.ReadFile(path)
			if c.want == "" {
				if err != nil || !changed || string(text) == "good" {
					t.Errorf("changed %v, %v", changed, err)
				}
				return
			}
			if err == nil || changed || !strings.Contains(err.Error(), c.want) ||
				!strings.Contains(err.Error(), server.URL) || strings.Contains(err.Error(), "\n") {
				t.Errorf("changed %v, %v, want %s", changed, err, c.want)
			}
			if string(text) != "good" {
				t.Errorf("the file is now %.40s", text)
			}
		})
	}
}
