package web

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"time"

	"github.com/metranova/flow-collector/collector/status"
	"github.com/metranova/flow-collector/collector/verdict"
	"github.com/metranova/flow-collector/collector/web/figures"
)

// view is the data of the page's template.
type view struct {
	*status.Report
	Exporters    []exporterView // hides the report's: limited to what fits on a page
	More         int            // exporters that were left out
	WithProblems int            // exporters with warnings or problems
	Uptime       string
	Spark        spark
	Top          *status.TopTraffic // nil: not for this client
	Refresh      int                // seconds; 0: never
	Explore      bool               // there is a page of the traffic
}

// exporterView is a line of the table of exporters.
type exporterView struct {
	status.Exporter
	ProtocolName string
	Ago          string
	Templates    string
	Loss         string
	Worst        string // the worst severity, as a CSS class; "" if there is no verdict
}

// mostExporters limits the exporters on the page.
const mostExporters = 1000

func newView(r *status.Report, top *status.TopTraffic) *view {
	v := &view{Report: r, Top: top, Uptime: lasting(r.Collector.Now.Sub(r.Collector.Started)),
		Spark: newSpark(r.Collector.LastHour)}
	v.Spark.Peak = max(v.Spark.Peak, r.Collector.FlowsPerSecond) // the graph has averages
	// Exporters with problems come first.
	byWorst := map[verdict.Severity][]exporterView{}
	for _, x := range r.Exporters {
		worst := x.Worst()
		if worst > verdict.Note {
			v.WithProblems++
		}
		byWorst[worst] = append(byWorst[worst], newExporterView(x, r.Collector.Now))
	}
	for _, worst := range []verdict.Severity{verdict.Problem, verdict.Warning, verdict.Note} {
		v.Exporters = append(v.Exporters, byWorst[worst]...)
	}
	v.More = max(len(v.Exporters)-mostExporters, 0)
	v.Exporters = v.Exporters[:len(v.Exporters)-v.More]
	return v
}

func newExporterView(x status.Exporter, now time.Time) exporterView {
	v := exporterView{Exporter: x, ProtocolName: protocolNames[x.Protocol], Ago: verdict.Ago(now.Sub(x.LastSeen)),
		Templates: "–", Loss: "0"}
	if v.ProtocolName == "" {
		v.ProtocolName = x.Protocol
	}
	if x.TemplatesKnown > 0 || len(x.TemplatesMissing) > 0 {
		v.Templates = strconv.Itoa(int(x.TemplatesKnown))
	}
	if n := len(x.TemplatesMissing); n > 0 {
		v.Templates += fmt.Sprintf(" (%d missing)", n)
	}
	if x.LossPercent > 0 {
		v.Loss = fmt.Sprintf("%.2g %%", x.LossPercent)
		if x.LossPercent >= 10 {
			v.Loss = fmt.Sprintf("%.0f %%", x.LossPercent)
		}
	}
	if len(x.Verdicts) > 0 {
		v.Worst = x.Worst().String()
	}
	return v
}

// protocolNames are the protocols' usual spellings.
var protocolNames = map[string]string{"netflow5": "NetFlow v5", "netflow9": "NetFlow v9", "ipfix": "IPFIX",
	"sflow5": "sFlow v5"}

// topView is one table of the largest.
type topView struct {
	Title  string
	Shares []status.Share
}

var pageFunctions = template.FuncMap{
	"clock":   func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
	"rate":    rateText,
	"si":      figures.SI,
	"bits":    func(bytesPerSecond float64) string { return figures.SI(bytesPerSecond*8) + "bit/s" },
	"number":  figures.Groups,
	"percent": func(share float64) string { return fmt.Sprintf("%.1f", 100*share) },
	"sign":    func(s verdict.Severity) string { return [...]string{"●", "▲", "✖"}[s] },
	"list":    func(title string, shares []status.Share) topView { return topView{title, shares} },
}

// rateText returns a rate: small ones with decimals.
func rateText(n float64) string {
	switch {
	case math.IsNaN(n) || n == 0:
		return "0"
	case n < 0.1:
		return "< 0.1"
	case n < 10:
		return fmt.Sprintf("%.1f", n)
	default:
		return figures.Groups(uint64(math.Round(n)))
	}
}

// lasting returns a duration in its two largest units.
func lasting(d time.Duration) string {
	days, hours, minutes := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60
	switch {
	case days > 0:
		return fmt.Sprintf("%d d %d h", days, hours)
	case hours > 0:
		return fmt.Sprintf("%d h %d min", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%d min", minutes)
	default:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	}
}
