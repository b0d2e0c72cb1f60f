package config

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestEnvFile(t *testing.T) {
	path := write(t, "base.env", `# the reference's spelling
KAFKA_CONSUMER_GROUP=ignored
export CLICKHOUSE_USERNAME="flow"
CLICKHOUSE_PASSWORD='${not} #expanded'
CLICKHOUSE_AS_METADATA_TABLE=meta_as # the default
CLICKHOUSE_DATABASE=${SITE}_flows
CLICKHOUSE_FLOW_TABLE=${CLICKHOUSE_DATABASE}_t
`)
	c := load(t, Source{EnvFiles: []string{path}, Environ: []string{"SITE=lab"}})
	got := []string{c.Server.Username, c.Server.Password, c.Schema.Tables.AS, c.Schema.Database, c.Schema.Tables.Flow}
	if want := []string{"flow", "${not} #expanded", "meta_as", "lab_flows", "lab_flows_t"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestEnvFileAsComposeReadsIt has the rules of docker compose one by one.
func TestEnvFileAsComposeReadsIt(t *testing.T) {
	for _, test := range []struct{ name, line, want string }{
		{"quotes and a comment", `"secret" # the password`, "secret"},
		{"single quotes and a comment", `'secret' # it's the password`, "secret"},
		{"a comment right after the quote", `"secret"#c`, "secret"},
		{"a hash in quotes", `"a # b"`, "a # b"},
		{"a hash without a space", `a#b`, "a#b"},
		{"a hash first", `#a`, "#a"},
		{"only a comment", ` # a`, ""},
		{"nothing", ``, ""},
		{"escapes", `"a\"b\\c\nd\te\$f"`, "a\"b\\c\nd\te$f"},
		{"no escape", `"a\db"`, `a\db`},
		{"an octal escape", `"\0101"`, "A"},
		{"no escapes in single quotes", `'a\nb\'c$SITE'`, `a\nb'c$SITE`},
		{"no escapes without quotes", `a\nb`, `a\nb`},
		{"several lines", "\"a\nb\" # c", "a\nb"},
		{"variables", `"${SITE}/$SITE/${NONE:-d}/${NONE-e}/${EMPTY-f}/${SITE:+g}"`, "lab/lab/d/e//g"},
		{"dollars", `a$$b$none`, "a$b$none"},
		{"blanks", "  a b\t ", "a b"},
		{"an equals sign", `a=b`, "a=b"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, file := range []string{
				"EMPTY=\nCLICKHOUSE_PASSWORD=" + test.line + "\nCLICKHOUSE_USERNAME=after\n",
				"\ufeffexport  EMPTY=\r\nexport CLICKHOUSE_PASSWORD = " + strings.ReplaceAll(test.line, "\n", "\r\n") +
					"\r\nCLICKHOUSE_USERNAME: after",
			} {
				want := test.want
				if test.line == "#a" && strings.Contains(file, "= #a") {
					want = ""
				}
				c := load(t, Source{EnvFiles: []string{write(t, "a.env", file)}, Environ: []string{"SITE=lab"}})
				if c.Server.Password != want || c.Server.Username != "after" {
					t.Errorf("%q gives %q and %q, want %q", file, c.Server.Password, c.Server.Username, want)
				}
			}
		})
	}
	c := load(t,
		Source{EnvFiles: []string{write(t, "a.env", "CLICKHOUSE_PASSWORD\nNONE # a name alone\nCLICKHOUSE_USERNAME=u")},
			Environ: []string{"CLICKHOUSE_PASSWORD=p"}})
	if c.Server.Password != "p" || c.Server.Username != "u" {
		t.Errorf("a name alone: password %q, user %q", c.Server.Password, c.Server.Username)
	}
}

// TestEnvFileProblemsKeepSecrets: a line that cannot be read is named, but not shown.
func TestEnvFileProblemsKeepSecrets(t *testing.T) {
	for _, test := range []struct{ file, want string }{
		{"# c\nMY PASSWORD=hunter2\n", "a.env:2: is not NAME=value"},
		{"\nhunter2 is it\n", "a.env:2: is not NAME=value"},
		{"CLICKHOUSE_PASSWORD=\"hunter2\n", "a.env:1: CLICKHOUSE_PASSWORD: the quote is not closed"},
		{"A='b' hunter2\n", "a.env:1: A: there is text after the closing quote"},
		{"CLICKHOUSE_PORT=\"9000\nKAFKA_SASL_PASSWORD=hunter2\"\n",
			`a.env:1: CLICKHOUSE_PORT: "9000 …": is not a whole number`},
	} {
		env := write(t, "a.env", test.file)
		_, problems := Load(Source{EnvFiles: []string{env}})
		for _, p := range problems {
			if got := strings.ReplaceAll(p.String(), filepath.Dir(env)+"/", ""); strings.Contains(got, "hunter2") ||
				!strings.HasPrefix(got, test.want) {
				t.Errorf("%q: %s, want %s", test.file, got, test.want)
			}
		}
		if len(problems) != 1 {
			t.Errorf("%q: %v, want one problem", test.file, problems)
		}
	}
}
