// Package top shows the exporters of a running collector in a terminal.
package top

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"
)

// report is what /exporters.json says, as far as it is shown.
type report struct {
	Collector struct {
		ID                 string    `json:"collector_id"`
		Version            string    `json:"version"`
		Now                time.Time `json:"now"`
		Started            time.Time `json:"started"`
		Listen             string    `json:"listen"`
		Ready              bool      `json:"ready"`
		FlowsPerSecond     float64   `json:"flows_per_second"`
		DatagramsPerSecond float64   `json:"datagrams_per_second"`
		BytesPerSecond     float64   `json:"bytes_per_second"`
		RowsWritten        uint64    `json:"rows_written"`
		RowsWaiting        uint64    `json:"rows_waiting"`
		RowsSpooled        uint64    `json:"rows_spooled"`
		RowsLost           uint64    `json:"rows_lost"`
		Verdicts           []verdict `json:"verdicts"`
	} `json:"collector"`
	Exporters []exporter `json:"exporters"`
}

type exporter struct {
	Address            string    `json:"address"`
	Device             string    `json:"device"`
	Protocol           string    `json:"protocol"`
	Domain             uint32    `json:"domain"`
	LastSeen           time.Time `json:"last_seen"`
	FlowsPerSecond     float64   `json:"flows_per_second"`
	DatagramsPerSecond float64   `json:"datagrams_per_second"`
	LossPercent        float64   `json:"loss_percent"`
	Sampling           *struct {
		Rate uint32 `json:"rate"`
	} `json:"sampling"`
	Verdicts []verdict `json:"verdicts"`
}

type verdict struct {
	Severity string `json:"severity"`
	Text     string `json:"text"`
}

// Size is that of the screen. Zero is no bound.
type Size struct{ Columns, Rows int }

// Write shows what /exporters.json said: the collector, and the exporters with most flows first.
func Write(out io.Writer, text []byte, size Size) error {
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("what the collector says of its exporters: %w", err)
	}
	var page strings.Builder
	r.head(&page)
	slices.SortStableFunc(r.Exporters, func(a, b exporter) int {
		return cmp.Or(cmp.Compare(b.FlowsPerSecond, a.FlowsPerSecond), cmp.Compare(a.Address, b.Address))
	})
	table := tabwriter.NewWriter(&page, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table,
		"EXPORTER\tDEVICE\tPROTOCOL\tDOMAIN\tFLOWS/S\tDATAGRAMS/S\tSAMPLING\tLOSS\tLAST SEEN\tWHAT IS WRONG")
	for _, x := range r.Exporters {
		x.write(table, r.Collector.Now)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(r.Exporters) == 0 {
		fmt.Fprintf(&page, "no exporter was heard yet; they send to %s\n", Printable(r.Collector.Listen))
	}
	_, err := io.WriteString(out, size.cut(page.String()))
	return err
}

func (r *report) head(out io.Writer) {
	c := &r.Collector
	state := "ready"
	if !c.Ready {
		state = "NOT READY"
	}
	name := strings.TrimSpace(Printable(c.Version) + " " + Printable(c.ID))
	fmt.Fprintf(out, "flow-collector %s, up %s, %s\n", name,
		c.Now.Sub(c.Started).Round(time.Second), state)
	fmt.Fprintf(out, "%s flows/s now; in the last minute %s datagrams/s, %.1f Mbit/s of exports\n"+
		"rows: %d written, %d waiting, %d on disk, %d lost\n",
		rate(c.FlowsPerSecond), rate(c.DatagramsPerSecond), c.BytesPerSecond*8/1e6, c.RowsWritten, c.RowsWaiting,
		c.RowsSpooled, c.RowsLost)
	for _, v := range c.Verdicts {
		fmt.Fprintf(out, "%s: %s\n", Printable(v.Severity), Printable(v.Text))
	}
	fmt.Fprintln(out)
}

func (x *exporter) write(out io.Writer, now time.Time) {
	sampling := "?"
	if x.Sampling != nil {
		sampling = fmt.Sprintf("1:%d", x.Sampling.Rate)
	}
	loss := "-"
	if x.LossPercent > 0 {
		loss = fmt.Sprintf("%.2f %%", x.LossPercent)
	}
	wrong := ""
	if len(x.Verdicts) > 0 {
		wrong = Printable(x.Verdicts[0].Severity) + ": " + Printable(x.Verdicts[0].Text)
		if more := len(x.Verdicts) - 1; more > 0 {
			wrong += fmt.Sprintf(" (and %d more)", more)
		}
	}
	fmt.Fprintf(out, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s ago\t%s\n", x.Address, Printable(x.Device), x.Protocol,
		x.Domain,
		rate(x.FlowsPerSecond), rate(x.DatagramsPerSecond), sampling, loss,
		max(now.Sub(x.LastSeen), 0).Round(time.Second), wrong)
}

func rate(n float64) string {
	if n < 10 {
		return fmt.Sprintf("%.1f", n)
	}
	return fmt.Sprintf("%.0f", n)
}

// Printable is a text that cannot steer a terminal: names and texts may come from files and exporters.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// cut bounds a page to the screen; the last line says what is left out.
func (s Size) cut(page string) string {
	lines := strings.Split(strings.TrimSuffix(page, "\n"), "\n")
	if s.Rows > 1 && len(lines) > s.Rows-1 {
		left := len(lines) - (s.Rows - 2)
		lines = append(lines[:s.Rows-2], fmt.Sprintf("… %d more lines", left))
	}
	for i, line := range lines {
		if s.Columns > 0 && utf8.RuneCountInString(line) > s.Columns {
			lines[i] = string([]rune(line)[:s.Columns-1]) + "…"
		}
	}
	return strings.Join(lines, "\n") + "\n"
}
