package config

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// Env files have the syntax of docker compose:
//
//	NAME=value # comment      value is trimmed; variables are expanded
//	NAME='it\'s $as it is'    nothing is expanded; may span several lines
//	NAME="a\tb ${OTHER}"      escapes, then variables; may span several lines
//	NAME                      the value in the process's environment, if it has one
//	export NAME=value         as without export
//	NAME: value               as with =
//
// Unlike compose, an undefined $name without braces stays as it is, because passwords contain dollars.

const maxEnvFile = 1 << 20

// readEnvFile returns a file's variables. A value may refer to variables that were set before it: in the process's
// environment, in this file, in earlier files. A problem never shows the text of a line, which may be a secret.
func readEnvFile(path string, before, process environ) (environ, []Problem) {
	env := newEnviron()
	data, err := readText(path, maxEnvFile)
	if err != nil {
		return env, []Problem{{Where: path, Why: reason(err)}}
	}
	f := envFile{rest: strings.ReplaceAll(data, "\r\n", "\n"), line: 1, lookup: func(name string) (string, bool) {
		for _, e := range []environ{process, env, before} {
			if text, found := e.text[name]; found {
				return text, true
			}
		}
		return "", false
	}}
	var problems []Problem
	for f.skipBlank() {
		where := fmt.Sprintf("%s:%d", path, f.line)
		name, text, set, err := f.statement()
		switch {
		case err != nil:
			problems = append(problems, Problem{Where: where, Key: name, Why: err.Error()})
		case set:
			if before := env.where[name]; before != "" && env.text[name] != text {
				env.repeated = append(env.repeated, Problem{Where: where, Key: name,
					Why: "is set a second time, to another value, which counts; the first is at " + before})
			}
			env.text[name], env.where[name] = text, where
		}
	}
	return env, problems
}

// readText reads a text file of at most limit bytes, without a byte order mark.
func readText(path string, limit int64) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.Mode().IsRegular() && info.Size() > limit {
		return "", fmt.Errorf("is larger than %d bytes", limit)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return strings.TrimPrefix(string(data), "\ufeff"), nil
}

// envFile is the rest of an env file.
type envFile struct {
	rest   string
	line   int // number of its first line
	lookup func(name string) (string, bool)
}

// take removes n bytes and counts their lines.
func (f *envFile) take(n int) string {
	text := f.rest[:n]
	f.line += strings.Count(text, "\n")
	f.rest = f.rest[n:]
	return text
}

// takeLine removes and returns the rest of the line, without its end.
func (f *envFile) takeLine() string {
	end := strings.IndexByte(f.rest, '\n')
	if end < 0 {
		return f.take(len(f.rest))
	}
	return strings.TrimSuffix(f.take(end+1), "\n")
}

// skipBlank skips to the next statement; false at the end.
func (f *envFile) skipBlank() bool {
	for {
		f.take(len(f.rest) - len(strings.TrimLeft(f.rest, " \t\r\n\v\f")))
		if !strings.HasPrefix(f.rest, "#") {
			return f.rest != ""
		}
		f.takeLine()
	}
}

var (
	envName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.\[\]-]*$`)
	envExport = regexp.MustCompile(`^export[ \t]+`)
)

// statement reads a statement. set is false if there is no value: just a name that is not in the environment. After an
// error the next statement can be read.
func (f *envFile) statement() (name, text string, set bool, err error) {
	f.take(len(envExport.FindString(f.rest)))
	end := strings.IndexAny(f.rest, "=:\n")
	if end < 0 {
		end = len(f.rest)
	}
	name = strings.TrimSpace(f.take(end))
	if alone := f.rest == "" || f.rest[0] == '\n'; alone {
		name, _, _ = strings.Cut(name, " #")
		name = strings.TrimSpace(name)
		if !envName.MatchString(name) {
			return "", "", false, errNoAssignment
		}
		text, set = f.lookup(name)
		return name, text, set, nil
	}
	if !envName.MatchString(name) {
		f.takeLine()
		return "", "", false, errNoAssignment
	}
	f.take(1)
	blank := f.take(len(f.rest) - len(strings.TrimLeft(f.rest, " \t\r\v\f")))
	if f.rest != "" && (f.rest[0] == '\'' || f.rest[0] == '"') {
		text, err = f.quoted(f.rest[0])
		return name, text, err == nil, err
	}
	text = blank + f.takeLine()
	text, _, _ = strings.Cut(text, " #") // NAME=#x has a value, NAME= #x has none
	return name, expandCompose(strings.TrimSpace(text), f.lookup), true, nil
}

var (
	errNoAssignment = fmt.Errorf("is not NAME=value (the line is not shown: it may have a secret)")
	errNoQuote      = fmt.Errorf("the quote is not closed")
	errAfterQuote   = fmt.Errorf("there is text after the closing quote (it is not shown: it may be a secret)")
)

// quoted reads a quoted value and the rest of its line, which must be empty or a comment. If the quote is not closed,
// only the line is consumed, so that the following lines are still read.
func (f *envFile) quoted(quote byte) (string, error) {
	var b strings.Builder
	for i := 1; i < len(f.rest); i++ {
		switch c := f.rest[i]; {
		case c == '\\' && i+1 < len(f.rest):
			i++
			if f.rest[i] != quote {
				b.WriteByte('\\')
			}
			b.WriteByte(f.rest[i])
		case c == quote:
			f.take(i + 1)
			after := strings.TrimSpace(f.takeLine())
			if after != "" && after[0] != '#' {
				return "", errAfterQuote
			}
			if quote == '\'' {
				return b.String(), nil
			}
			return expandCompose(unescape(b.String()), f.lookup), nil
		default:
			b.WriteByte(c)
		}
	}
	f.takeLine()
	return "", errNoQuote
}

var escapes = regexp.MustCompile(`\\(?:[abcfnrtv$"\\]|0[0-7]{0,3})`)

// unescape replaces the escapes in double quotes. An escaped dollar becomes two, which expandCompose turns into one.
func unescape(text string) string {
	return escapes.ReplaceAllStringFunc(text, func(escape string) string {
		switch c := escape[1]; c {
		case '$':
			return "$$"
		case '"', '\\':
			return string(c)
		case '0':
			n, _ := strconv.ParseUint(escape[2:], 8, 8) // \0 alone is a zero byte
			return string([]byte{byte(n)})
		case 'c': // ends the output in a shell; compose ignores it
			return escape
		default:
			return map[byte]string{'a': "\a", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v"}[c]
		}
	})
}

var composeVariable = regexp.MustCompile(
	`\$\$|\$([A-Za-z_][A-Za-z0-9_]*)|\$\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-+?])([^}]*))?\}`)

// expandCompose expands $NAME, ${NAME}, ${NAME:-default}, ${NAME-default}, ${NAME:+other} and ${NAME+other}; $$ is a
// dollar.
func expandCompose(text string, lookup func(string) (string, bool)) string {
	return composeVariable.ReplaceAllStringFunc(text, func(reference string) string {
		if reference == "$$" {
			return "$"
		}
		parts := composeVariable.FindStringSubmatch(reference)
		if bare := parts[1]; bare != "" {
			if text, found := lookup(bare); found {
				return text
			}
			return reference
		}
		text, found := lookup(parts[2])
		if strings.HasPrefix(parts[3], ":") {
			found = found && text != ""
		}
		switch strings.TrimPrefix(parts[3], ":") {
		case "+":
			if found {
				return parts[4]
			}
			return ""
		case "-":
			if !found {
				return parts[4]
			}
		}
		return text
	})
}
