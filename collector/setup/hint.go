package setup

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/metranova/flow-collector/collector/config"
)

// ServiceFile is the configuration of the installed service, which commands use unless they are told otherwise.
const ServiceFile = "/etc/flow-collector/collector.yml"

// findsTheStore are the settings by which a command finds the rows.
var findsTheStore = []string{"clickhouse.host", "clickhouse.port", "clickhouse.database", "clickhouse.username",
	"clickhouse.secure", "store.path", "store.listen"}

// QueryCommand returns a command line for people that asks the same store with the same settings. program is how this
// one was started. Passwords are left out.
func QueryCommand(cfg *config.Config, program, sql string) string {
	if filepath.Dir(program) == "/usr/bin" {
		program = filepath.Base(program)
	}
	flags := cfg.Flags()
	if slices.Contains(flags, ServiceFile) {
		return program + " query " + quoted(sql)
	}
	var words []string
	for _, s := range cfg.Settings() {
		if slices.Contains(findsTheStore, s.Key) && s.Origin.Where == "environment" {
			words = append(words, s.Origin.Variable+"="+quoted(s.Value))
		}
	}
	words = append(words, program, "query")
	for _, flag := range flags {
		words = append(words, quoted(flag))
	}
	return strings.Join(append(words, quoted(sql)), " ")
}

// quoted is a word for a shell.
func quoted(word string) string {
	special := func(r rune) bool {
		return r < '0' && !strings.ContainsRune("-./,+", r) || r > '9' && r < 'A' && r != ':' && r != '@' ||
			r > 'Z' && r < 'a' && r != '_' || r > 'z'
	}
	if word != "" && strings.IndexFunc(word, special) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
