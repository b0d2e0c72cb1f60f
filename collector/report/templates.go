package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	goflow2 "github.com/netsampler/goflow2/v2/decoders/netflow"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/decoder/netflow"
)

// PrintTemplates writes the decoder's templates and options.
func PrintTemplates(out io.Writer, domains []netflow.Domain) {
	for _, d := range domains {
		if len(d.Templates) == 0 {
			continue
		}
		fmt.Fprintf(out, "%s %s domain %d\n", d.Key.Exporter, d.Key.Protocol, d.Key.Domain)
		for _, t := range d.Templates {
			kind, length := "template", fmt.Sprintf("%d bytes", t.Length)
			if t.Options {
				kind = "options template"
			}
			if t.Variable {
				length = fmt.Sprintf("at least %d bytes", t.Length)
			}
			fmt.Fprintf(out, "  %s %d, %s:\n", kind, t.ID, length)
			printFields(out, t.Fields)
		}
		for _, r := range d.Rates {
			fmt.Fprintf(out, "  %s: 1 in %d\n", r.Of, r.Rate)
		}
		if d.DomainRate != 0 {
			fmt.Fprintf(out, "  domain: 1 in %d\n", d.DomainRate)
		}
		if d.Interfaces+d.VRFs > 0 {
			fmt.Fprintf(out, "  names of %s and %s\n", commandline.Count(d.Interfaces, "interface"),
				commandline.Count(d.VRFs, "VRF"))
		}
	}
	fmt.Fprintln(out)
}

// printFields writes fields one after the other, wrapped to the screen's width.
func printFields(out io.Writer, fields []netflow.TemplateField) {
	const width, indent = 120, "   "
	line := indent
	for _, f := range fields {
		text := fieldText(f)
		if len(line)+1+len(text) > width && line != indent {
			fmt.Fprintln(out, line)
			line = indent
		}
		line += " " + text
	}
	fmt.Fprintln(out, line)
}

// fieldText returns element:length with the element's name, and a * if the value is used; v means a variable length.
func fieldText(f netflow.TemplateField) string {
	length := strconv.Itoa(f.Length)
	if f.Length < 0 {
		length = "v"
	}
	text := f.Name + ":" + length
	if name := goflow2.IPFIXTypeToString(f.IANA); f.IANA != 0 && name != "" && !strings.HasPrefix(name, "Unassigned") {
		text = name + "(" + f.Name + "):" + length
	}
	if f.Scope {
		text = "scope(" + text + ")"
	}
	if f.Used {
		text += "*"
	}
	return text
}
