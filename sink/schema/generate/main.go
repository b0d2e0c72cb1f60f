// Generate writes what follows from the table of data_flow's columns (schema.FlowColumns and schema.ExtPaths): how
// blocks take a row, how messages for Kafka are made of one, flow.proto, and the SQL files that read a topic into
// data_flow.
//
//	go generate ./sink/schema
//
// Texts that do not depend on the columns stand in the templates beside this file.
package main

import (
	"bytes"
	"embed"
	"fmt"
	"go/format"
	"os"
	"path/filepath"
	"text/template"
)

//go:embed *.tmpl
var templates embed.FS

func main() {
	// go generate runs in the directory of the package that asks for it: sink/schema.
	files, err := generate()
	for name, text := range files {
		if err == nil {
			err = os.WriteFile(filepath.Join("..", "..", filepath.FromSlash(name)), text, 0o644)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// generate returns the generated files by their paths in the repository.
func generate() (map[string][]byte, error) {
	files := map[string][]byte{}
	for name, from := range map[string]string{
		"sink/block/flow_gen.go":          "block.go.tmpl",
		"sink/message/json_gen.go":        "json.go.tmpl",
		"sink/message/protobuf_gen.go":    "protobuf.go.tmpl",
		"sink/message/flow.proto":         "flow.proto.tmpl",
		"conf.example/kafka/json.sql":     "json.sql.tmpl",
		"conf.example/kafka/protobuf.sql": "protobuf.sql.tmpl",
	} {
		text, err := execute(from)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files[name] = text
	}
	return files, nil
}

// execute fills one template; Go code is formatted.
func execute(name string) ([]byte, error) {
	t, err := template.New(name).Option("missingkey=error").ParseFS(templates, name)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, newData()); err != nil {
		return nil, err
	}
	if filepath.Ext(trimTemplate(name)) != ".go" {
		return b.Bytes(), nil
	}
	text, err := format.Source(b.Bytes())
	if err != nil {
		return nil, fmt.Errorf("%w in\n%s", err, b.Bytes())
	}
	return text, nil
}

func trimTemplate(name string) string { return name[:len(name)-len(".tmpl")] }
