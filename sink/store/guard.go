package store

import (
	"slices"
	"strconv"
	"strings"
)

// The engine's grants (users.go) take away what leaves the database as far as the engine asks for a grant. As a library
// it does not ask everywhere: the function file(), dictionaries that run a command and some table engines are free to
// everybody. The guard refuses those by their names, before the engine sees the statement. The sandbox (confine.go)
// holds where both are wrong.

// rules are what the guard goes by. The zero value is for a kernel that does not confine the engine.
type rules struct {
	// confined says that the kernel keeps the engine to its directory. Where it does not, texts are read as SQL too:
	// some settings and the structures of tables are SQL in a text.
	confined bool
	// tableFunctions are the engine's table functions that are not in allowedTableFunctions, in lower case.
	tableFunctions []string
}

// allowedTableFunctions stay within the database, in lower case.
var allowedTableFunctions = []string{
	"numbers", "numbers_mt", "zeros", "zeros_mt", "primes", "generateseries", "generate_series", "generaterandom",
	"values", "sqlstandardvalues", "null", "format", "view", "viewifpermitted", "viewexplain", "merge", "loop",
	"dictionary", "fuzzjson", "mergetreeindex", "mergetreeprojection", "mergetreetextindex", "mergetreeanalyzeindexes",
	"mergetreeanalyzeindexesuuid",
}

// allowedEngines are the table and database engines whose data is within the database.
var allowedEngines = []string{
	"MergeTree", "ReplacingMergeTree", "SummingMergeTree", "AggregatingMergeTree", "CollapsingMergeTree",
	"VersionedCollapsingMergeTree", "CoalescingMergeTree", "GraphiteMergeTree",
	"Log", "TinyLog", "StripeLog", "Memory", "Set", "Join", "Null", "Buffer", "Merge", "GenerateRandom", "Dictionary",
	"View", "MaterializedView", "Alias", "Atomic",
}

// notEngines are words that stand behind a column that is called engine: data types, and words of SQL. No engine has
// one of these names.
var notEngines = []string{
	"string", "fixedstring", "lowcardinality", "nullable", "enum", "enum8", "enum16", "bool", "uuid", "array",
	"tuple", "map", "json", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "text",
	"varchar", "char", "from", "as", "and", "or", "in", "not", "is", "like", "ilike", "where", "group", "order",
	"limit", "union", "then", "else", "end", "asc", "desc", "between", "having", "default",
}

// forbiddenFunctions read files, run programs, reach the network or run SQL that stands in a text. input() waits for
// ever for rows from this process's own input. Their names are in lower case.
var forbiddenFunctions = []string{
	"input",
	"file", "filecluster", "filesystem", "eval", "executable", "catboostevaluate", "disk", "python", "fuzzquery",
	"aigenerate", "aiclassify", "aiextract", "aitranslate", "aiembed",
	"url", "urlcluster", "s3", "s3cluster", "gcs", "oss", "cosn", "hdfs", "hdfscluster", "azureblobstorage",
	"azureblobstoragecluster",
	"mysql", "postgresql", "mongodb", "redis", "sqlite", "odbc", "jdbc", "ytsaurus", "remote", "remotesecure",
	"arrowflight",
	"iceberg", "icebergs3", "icebergazure", "iceberghdfs", "iceberglocal", "deltalake", "deltalakes3", "deltalakeazure",
	"deltalakelocal",
	"hudi", "paimon", "paimons3", "paimonazure", "paimonhdfs", "paimonlocal",
}

// allowedVerbs are the first words of statements that the store runs. What a server needs for its users, backups and
// clusters is not among them.
var allowedVerbs = []string{
	"SELECT", "WITH", "FROM", "INSERT", "CREATE", "REPLACE", "ATTACH", "DETACH", "DROP", "UNDROP", "TRUNCATE", "ALTER",
	"RENAME",
	"EXCHANGE", "OPTIMIZE", "CHECK", "DELETE", "UPDATE", "SHOW", "DESC", "DESCRIBE", "EXISTS", "EXPLAIN", "KILL",
	"SYSTEM", "SET", "USE",
}

// readingVerbs are those that a request which may only read can use. The engine itself takes KILL for reading.
var readingVerbs = []string{"SELECT", "WITH", "FROM", "SHOW", "DESC", "DESCRIBE", "EXISTS", "EXPLAIN", "CHECK"}

func denied(format string, args ...any) *exception {
	return newException(codeAccessDenied, "ACCESS_DENIED", format, args...)
}

// valuesSettings have the engine evaluate SQL in data of the format Values, which the guard does not read.
var valuesSettings = []string{
	"input_format_values_interpret_expressions", "input_format_values_deduce_templates_of_expressions",
}

// values says why data of the format Values, which may hold SQL, is not inserted.
func (r *rules) values(data string) *exception {
	g := &guardian{rules: r, lexer: lexer{src: data}}
	return g.check(0)
}

// text says why the value of a setting or of a query parameter is not taken: it may be SQL.
func (r *rules) text(value string) *exception {
	if r.confined {
		return nil
	}
	for _, text := range []string{value, unescape(value)} {
		if e := (&guardian{rules: r, lexer: lexer{src: text}}).check(1); e != nil {
			return e
		}
	}
	return nil
}

// statement says why a statement is not run, nil if it may be. It is called with the SQL only, without the data of an
// insert.
func (r *rules) statement(st statement, readonly bool) *exception {
	if !slices.Contains(allowedVerbs, st.verb) && isName(st.verb) {
		return denied("The local store does not run %s statements", st.verb)
	}
	if readonly && !slices.Contains(readingVerbs, st.verb) {
		return newException(codeReadonly, "READONLY",
			"Cannot execute %s in readonly mode: it needs a POST request without readonly", st.verb)
	}
	g := &guardian{rules: r, lexer: lexer{src: st.text}}
	return g.check(0)
}

// guardian reads a statement token by token.
type guardian struct {
	*rules
	lexer
	words [3]string // the last tokens as names, the newest first
}

// advance reads the next token. "" is the end.
func (g *guardian) advance() string {
	tok := g.next()
	if tok != "" {
		g.words[2], g.words[1], g.words[0] = g.words[1], g.words[0], nameOf(tok)
	}
	return tok
}

// nameOf is a token as ClickHouse compares names: without quotes, in lower case here. A quoted name with an escape in
// it is "\": whoever writes a function's name that way has something to hide.
func nameOf(tok string) string {
	for _, quotes := range [][2]string{{"`", "`"}, {`"`, `"`}, {"\u201c", "\u201d"}} {
		if inner, ok := strings.CutPrefix(tok, quotes[0]); ok {
			if inner = strings.TrimSuffix(inner, quotes[1]); strings.Contains(inner, `\`) {
				return `\`
			}
			return strings.ToLower(inner)
		}
	}
	return strings.ToLower(tok)
}

// maxNesting is how deep SQL may stand in texts within texts of a dictionary.
const maxNesting = 4

// check reads to the end and returns what it refuses.
func (g *guardian) check(nesting int) *exception {
	if nesting > maxNesting {
		return denied("SQL in texts is nested too deep")
	}
	define, dictionary, attach := false, false, false
	structure := &literalArguments{}
	for tok := g.advance(); tok != ""; tok = g.advance() {
		word := g.words[0]
		if !g.confined && structure.refuses(g, tok) {
			return denied("Arguments of %s() are texts and numbers, not expressions, in a local store "+
				"that the kernel does not confine", structure.function)
		}
		switch before := g.words[1]; {
		case slices.Contains(valuesSettings, word), word == `\` && g.peek() == "=":
			return denied("The setting %s cannot be changed in a statement", tok)
		case tok == "(" && g.callsForbidden():
			return denied("The local store does not run %s(): it does not stay within the database", before)
		case before == "apply" && g.isForbidden(word):
			return denied("The local store does not run %s: it does not stay within the database", tok)
		case word == "(" && before == "apply":
			if g.isForbidden(nameOf(g.peek())) {
				return denied("The local store does not run %s: it does not stay within the database", g.peek())
			}
		case word == "create", word == "replace", word == "attach":
			define, attach = true, attach || word == "attach"
		case word == "dictionary" && define:
			dictionary = true
		case word == "engine" && define:
			if e := g.engine(); e != nil {
				return e
			}
		case word == "source" && dictionary && g.peek() == "(":
			if e := g.source(nesting); e != nil {
				return e
			}
		case attach && before == "from" && isText(tok):
			return denied("ATTACH … FROM a path is not possible in the local store")
		}
		if (dictionary || !g.confined) && isText(tok) {
			if e := (&guardian{rules: g.rules, lexer: lexer{src: textOf(tok)}}).check(nesting + 1); e != nil {
				return e
			}
		}
	}
	return nil
}

// isForbidden is true for the name, as nameOf, of a function that is not run.
func (g *guardian) isForbidden(name string) bool {
	return name == `\` || slices.Contains(forbiddenFunctions, name) || slices.Contains(g.tableFunctions, name)
}

// literalArguments follows the arguments of table functions that take SQL in a text, such as the structure of a table
// with its defaults. The guard reads texts, but does not compute them: concat('fi', 'le') hides a name.
type literalArguments struct {
	function string // "" outside of one
	depth    int    // of parentheses within it
}

var (
	sqlArguments = []string{"format", "values", "sqlstandardvalues", "null", "input", "generaterandom", "fuzzjson",
		"viewexplain"}
	// beforeExpressions stand before a function of an expression, such as format('{}', x), and before no table.
	beforeExpressions = []string{"select", "distinct", "where", "prewhere", "having", "and", "or", "not", "on", "by",
		"case", "when", "then", "else", "between", "like", "=", "<", ">", "+", "-", "*", "/", "["}
)

// refuses is called with each token in turn. It is true where an argument is an expression.
func (a *literalArguments) refuses(g *guardian, tok string) bool {
	name, before := g.words[1], g.words[2]
	switch {
	case a.function == "":
		if tok == "(" && slices.Contains(sqlArguments, name) && !slices.Contains(beforeExpressions, before) {
			a.function, a.depth = name, 1
		}
		return false
	case tok == ")":
		if a.depth--; a.depth == 0 {
			a.function = ""
		}
		return false
	case tok == "(":
		a.depth++
		return name != "" && isWordByte(name[0])
	}
	return tok == "{" || tok == "|" || tok == "?" || g.words[0] == "select" || g.words[0] == "with"
}

// callsForbidden looks at the name before a "(". A table may be called like a function: a name behind these words is
// one.
func (g *guardian) callsForbidden() bool {
	name, before := g.words[1], g.words[2]
	if name == `\` {
		return true
	}
	return g.isForbidden(name) &&
		!slices.Contains([]string{"into", "table", "view", "exists", "dictionary", "."}, before)
}

// engine reads what stands behind ENGINE. A text there is a comparison, as in WHERE engine = 'Log'; a data type or a
// word of SQL is behind a column of this name.
func (g *guardian) engine() *exception {
	equals := g.peek() == "="
	if equals {
		g.advance()
	}
	name := g.peek()
	if !equals && slices.Contains(notEngines, strings.ToLower(name)) {
		return nil
	}
	if !isName(name) {
		if strings.HasPrefix(name, "\u201c") {
			return denied("The local store has no tables of engine %s", name)
		}
		return nil
	}
	g.advance()
	for _, allowed := range allowedEngines {
		if g.words[0] == strings.ToLower(allowed) {
			return nil
		}
	}
	return denied("The local store has no tables or databases of engine %s: data stays within the database", name)
}

// source reads SOURCE(…) of a dictionary: it may be a query or a table of this store.
func (g *guardian) source(nesting int) *exception {
	g.advance() // (
	kind := g.advance()
	switch strings.ToLower(kind) {
	case "null":
		return nil
	case "clickhouse":
	default:
		return denied("The local store has no dictionaries with a source %s: data stays within the database", kind)
	}
	for depth := 1; depth > 0; {
		tok := g.advance()
		switch {
		case tok == "":
			return nil
		case tok == "(" && depth == 2, tok == "{":
			// The engine computes what stands there, concat('fi', 'le') too, and the guard does not.
			return denied("A dictionary's source in the local store is made of names, numbers and texts, not of " +
				"expressions")
		case tok == "(":
			depth++
		case tok == ")":
			depth--
		case g.words[1] == "host" && !(isText(tok) && isLoopbackName(textOf(tok))):
			return denied("A dictionary of the local store reads this store only, not HOST %s", tok)
		case isText(tok):
			if e := (&guardian{rules: g.rules, lexer: lexer{src: textOf(tok)}}).check(nesting + 1); e != nil {
				return e
			}
		}
		// The engine takes host and port together for its own, and connects anywhere else.
		if (g.words[1] == "port" && strings.Trim(tok, "'") != "9000") || g.words[0] == "secure" && depth == 2 ||
			g.words[0] == "name" && depth == 2 {
			return denied("A dictionary of the local store reads this store only: PORT, SECURE and NAME are not " +
				"possible")
		}
	}
	return nil
}

// isText is true for a quoted text: '…', $tag$…$tag$, or in typographic quotes.
func isText(tok string) bool {
	return strings.HasPrefix(tok, "'") || strings.HasPrefix(tok, "\u2018") || len(tok) > 1 && tok[0] == '$' &&
		strings.HasSuffix(tok, "$")
}

// textOf is what a quoted text says, with ClickHouse's escapes undone.
func textOf(tok string) string {
	switch {
	case strings.HasPrefix(tok, "'"):
		return unescape(strings.TrimSuffix(tok[1:], "'"))
	case strings.HasPrefix(tok, "\u2018"):
		return strings.TrimSuffix(strings.TrimPrefix(tok, "\u2018"), "\u2019")
	}
	tag := tok[:strings.IndexByte(tok[1:], '$')+2]
	return strings.TrimSuffix(tok[len(tag):], tag)
}

// unescape undoes what is written with a backslash or as two quotes.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\'' && i+1 < len(s) && s[i+1] == '\'':
			i++
		case s[i] == '\\' && i+1 < len(s):
			i++
			if s[i] == 'x' && i+2 < len(s) {
				if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
					b.WriteByte(byte(c))
					i += 2
					continue
				}
			}
			if strings.IndexByte("abefnrtv0", s[i]) >= 0 { // control characters: spaces to a lexer
				b.WriteByte(' ')
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
