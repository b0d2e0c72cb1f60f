package store

import (
	"errors"
	"io"
	"mime/multipart"
	"net/url"
	"strconv"
	"strings"
)

// An external table is data that a client sends beside its statement, in a part of a multipart form: the part's name is
// the table's. NAME_structure ("id UInt64, name String") or NAME_types ("UInt64,String": columns _1, _2) and
// NAME_format stand in the URL or in parts before it.
type external struct {
	name, create, format string
	data                 []byte
}

const (
	maxExternal = 64 << 20 // bytes of external tables in one request
	maxTables   = 32
)

// readExternal reads a part that is a table.
func (q *request) readExternal(part *multipart.Part, values url.Values) error {
	bad := func(format string, args ...any) error {
		return newException(codeBadArguments, "BAD_ARGUMENTS", format, args...)
	}
	name := part.FormName()
	x := external{name: name, format: values.Get(name + "_format")}
	if x.format == "" {
		x.format = "TabSeparated"
	}
	structure := values.Get(name + "_structure")
	if types := values.Get(name + "_types"); structure == "" && types != "" {
		structure = typesStructure(types)
	}
	switch {
	case name == "":
		return bad("An external table needs a name")
	case structure == "":
		return bad("Neither structure nor types of the external table %q are given: %[1]s_structure, %[1]s_types", name)
	case len(q.external) >= maxTables:
		return bad("A request may have %d external tables", maxTables)
	}
	x.create = "CREATE TEMPORARY TABLE " + quoteName(name) + " (" + structure + ") ENGINE = Memory"
	if st := parseStatement(x.create); st.multi || len(x.create) > defaultMaxQuerySize {
		return bad("The structure of the external table %q is not a list of columns", name)
	} else if e := q.rules.statement(st, false); e != nil {
		return e
	}
	var err error
	x.data, err = io.ReadAll(io.LimitReader(q.held(part), maxExternal-q.externalBytes+1))
	var full *exception
	switch {
	case errors.As(err, &full):
		return full
	case err != nil:
		return bad("external table %q: %v", name, err)
	}
	q.externalBytes += int64(len(x.data))
	if q.externalBytes > maxExternal {
		return newException(codeTooManyBytes, "TOO_MANY_BYTES",
			"External tables of a request may have %d bytes in the local store", maxExternal)
	}
	q.external = append(q.external, x)
	return nil
}

// typesStructure names the columns of a list of types _1, _2 and so on.
func typesStructure(types string) string {
	var columns []string
	depth, begin := 0, 0
	add := func(end int) {
		columns = append(columns, "_"+strconv.Itoa(len(columns)+1)+" "+strings.TrimSpace(types[begin:end]))
	}
	for l := (lexer{src: types}); ; {
		switch l.next() {
		case "":
			add(len(types))
			return strings.Join(columns, ", ")
		case "(":
			depth++
		case ")":
			depth--
		case ",":
			if depth == 0 {
				add(l.start)
				begin = l.pos
			}
		}
	}
}

// loadExternal makes the external tables on the request's connection, which alone sees them.
func (q *request) loadExternal(c *conn) error {
	for i := range q.external {
		x := &q.external[i]
		if err := c.run(x.create); err != nil {
			return err
		}
		in, err := c.insert("INSERT INTO "+quoteName(x.name), x.format, nil)
		if err != nil {
			return err
		}
		in.append(x.data)
		_, err = in.done()
		in.close()
		if err != nil {
			return err
		}
		x.data = nil
	}
	return nil
}
