// Package print writes flow records as text: as lines of JSON, or as a table. It shows what the exporter sent: nothing
// is scaled or looked up.
package print

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
)

// Records returns a function that prints records in a format, and one that prints the rest at the end. JSON has the
// records' routes too, unless find is nil.
func Records(format string, stats bool, find Find,
	out io.Writer) (receive func([]flow.Record), finish func(), err error) {
	switch {
	case stats:
		return func([]flow.Record) {}, func() {}, nil
	case format == "json":
		var line []byte
		return func(records []flow.Record) {
			for i := range records {
				line = appendRecord(line[:0], &records[i])
				if find != nil {
					find(&records[i], func(f *enrich.Found) { line = appendRoutes(line, &records[i], f) })
				}
				_, _ = out.Write(line)
			}
		}, func() {}, nil
	case format == "table":
		table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "EXPORTER\tSTART\tPROTO\tSOURCE\tDESTINATION\tBYTES\tPACKETS\tRATE\tIN\tOUT\tAS")
		return func(records []flow.Record) {
			for i := range records {
				printRow(table, &records[i])
			}
		}, func() { _ = table.Flush() }, nil
	}
	return nil, nil, commandline.Usage("--format %q is neither json nor table", format)
}

func printRow(out io.Writer, r *flow.Record) {
	fmt.Fprintf(out, "%s\t%s\t%d\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d→%d\n",
		r.Exporter, time.UnixMilli(r.StartMs).UTC().Format("2006-01-02 15:04:05.000"), r.IPProtocol,
		hostPort(r.SrcAddr, r.SrcPort), hostPort(r.DstAddr, r.DstPort),
		r.Bytes, r.Packets, r.SamplingRate, r.InIf, r.OutIf, r.SrcAS, r.DstAS)
}

func hostPort(a flow.Addr, port uint16) string {
	if a.Is4() {
		return fmt.Sprintf("%s:%d", a, port)
	}
	return fmt.Sprintf("[%s]:%d", a, port)
}
