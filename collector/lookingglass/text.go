package lookingglass

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/metranova/flow-collector/collector/top"
	"github.com/metranova/flow-collector/collector/verdict"
	"github.com/metranova/flow-collector/collector/web/figures"
)

// Table returns the name of the route's table.
func (r *Route) Table() string { return Table{Class: r.Class, RD: r.RD}.Name() }

// Name returns the name of a table: its class, and its route distinguisher if it has one.
func (t Table) Name() string {
	if t.RD != "" {
		return t.Class + " " + t.RD
	}
	return t.Class
}

// Source says in words where a route comes from.
func (r *Route) Source() string {
	text := r.Protocol
	switch {
	case r.Protocol == "MRT":
		text += " file " + r.File
	case r.View != "":
		text += " " + r.View + " of " + r.Session
	case r.Session != "":
		text += " session of " + r.Session
	}
	if r.Peer != "" {
		text += ", peer " + r.Peer
	}
	return text
}

// Age says in words how long the route's session has been up or down, which bounds the age of the route. "" if the
// route has no source.
func (r *Route) Age(now time.Time) string {
	if r.Protocol == "" {
		return ""
	}
	since := strings.TrimSuffix(verdict.Ago(now.Sub(r.Since)), " ago")
	switch {
	case r.Protocol == "MRT":
		return "loaded " + verdict.Ago(now.Sub(r.Since))
	case r.Saved:
		return "of the last run, not announced again yet"
	case r.Stale && r.Up:
		return "of the session before, not announced again yet"
	case r.Stale:
		return "session down for " + since
	}
	return "session up for " + since
}

// Marks lists what distinguishes a route from the others to its prefix, such as "best, iBGP".
func (r *Route) Marks() string {
	var all []string
	if r.Best {
		all = append(all, "best")
	}
	if !r.Answers {
		all = append(all, "not used: another view answers")
	}
	if r.Stale {
		all = append(all, "stale")
	}
	if r.Internal {
		all = append(all, "iBGP")
	}
	return strings.Join(all, ", ")
}

// Attributes returns the attributes of a route except path and next hop, as pairs of name and value.
func (r *Route) Attributes() (all [][2]string) {
	add := func(name, value string) {
		if value != "" {
			all = append(all, [2]string{name, value})
		}
	}
	add("origin", r.Origin)
	if r.LocalPref != nil {
		add("local pref", fmt.Sprint(*r.LocalPref))
	}
	if r.MED != nil {
		add("MED", fmt.Sprint(*r.MED))
	}
	if r.PathID != 0 {
		add("path id", fmt.Sprint(r.PathID))
	}
	add("communities", strings.Join(r.Communities, " "))
	add("extended communities", strings.Join(r.ExtCommunities, " "))
	add("large communities", strings.Join(r.LargeCommunities, " "))
	if r.RPKI != "" {
		text := r.RPKI
		if len(r.Payloads) > 0 {
			text += " (" + strings.Join(r.Payloads, ", ") + ")"
		}
		add("RPKI", text)
	}
	return all
}

// WriteAnswer prints an answer as text. Names that come from routers and files are made printable.
func WriteAnswer(out io.Writer, a *Answer) {
	if x := a.Exporter; x != nil {
		writeExplained(out, x, a)
	}
	if len(a.Routes) == 0 {
		fmt.Fprintf(out, "no route to %s: %d routers were asked\n", a.To, a.Routers)
		return
	}
	for i := range a.Routes {
		r := &a.Routes[i]
		if i == 0 || a.Routes[i-1].Router != r.Router || a.Routes[i-1].Table() != r.Table() {
			fmt.Fprintf(out, "router %s", top.Printable(r.Router))
			if r.RouterAS != 0 {
				fmt.Fprintf(out, " AS%d", r.RouterAS)
			}
			fmt.Fprintf(out, ", table %s\n", r.Table())
		}
		writeRoute(out, r, a.Now)
	}
	if a.LeftOut > 0 {
		fmt.Fprintf(out, "%d more routes are left out: --router, --table and --view choose among them\n", a.LeftOut)
	}
}

func writeExplained(out io.Writer, x *Explained, a *Answer) {
	name := x.Exporter
	if x.Device != "" {
		name += " (" + top.Printable(x.Device) + ")"
	}
	fmt.Fprintf(out, "a flow of exporter %s to %s: %s\n", name, a.To, x.Outcome)
	for _, why := range x.Why {
		fmt.Fprintf(out, "  - %s\n", top.Printable(why))
	}
	if r := x.Route; r != nil {
		fmt.Fprintf(out, "it gets the route of router %s, table %s:\n", top.Printable(r.Router), r.Table())
		writeRoute(out, r, a.Now)
	}
	fmt.Fprintln(out)
}

func writeRoute(out io.Writer, r *Route, now time.Time) {
	path := r.ASPath
	if path == "" {
		path = "(empty: the router's own AS)"
	}
	fmt.Fprintf(out, "  %s\n    path %s\n", r.Prefix, path)
	if r.NextHop != "" {
		fmt.Fprintf(out, "    next hop %s\n", r.NextHop)
	}
	for _, x := range r.Attributes() {
		fmt.Fprintf(out, "    %s %s\n", x[0], top.Printable(x[1]))
	}
	if source := r.Source(); source != "" {
		fmt.Fprintf(out, "    from %s, %s\n", top.Printable(source), r.Age(now))
	}
	if marks := r.Marks(); marks != "" {
		fmt.Fprintf(out, "    %s\n", marks)
	}
}

// WriteSummary prints a summary as tables.
func WriteSummary(out io.Writer, s *Summary) error {
	if !s.On {
		fmt.Fprintln(out, errOff)
		return nil
	}
	for _, v := range s.Verdicts {
		fmt.Fprintf(out, "%s: %s\n", v.Severity, top.Printable(v.Text))
		if v.Fix != "" {
			fmt.Fprintf(out, "  %s\n", top.Printable(v.Fix))
		}
	}
	m := &s.Memory
	fmt.Fprintf(out, "%s routes to %s prefixes, %d of %d MiB\n", figures.Groups(uint64(m.Routes)),
		figures.Groups(uint64(m.IPv4+m.IPv6)), m.Bytes>>20, m.MaxBytes>>20)
	if s.LookedUp > 0 {
		var parts []string
		for _, name := range sorted(s.LookUps) {
			parts = append(parts, fmt.Sprintf("%s %s", figures.Groups(s.LookUps[name]), name))
		}
		fmt.Fprintf(out, "%s routes looked up: %s\n", figures.Groups(s.LookedUp), strings.Join(parts, ", "))
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(columns ...string) {
		for i := range columns {
			columns[i] = top.Printable(columns[i])
		}
		fmt.Fprintln(table, strings.Join(columns, "\t"))
	}
	if len(s.Routers) > 0 {
		s.tableLines(line)
		fmt.Fprintln(table)
	}
	if len(s.Sessions)+len(s.Absent) > 0 {
		s.sessionLines(line)
		fmt.Fprintln(table)
	}
	if s.RPKI != nil {
		s.rpkiLines(line)
		fmt.Fprintln(table)
	}
	if len(s.Files) > 0 {
		s.fileLines(line)
		fmt.Fprintln(table)
	}
	if len(s.Exporters) > 0 {
		s.exporterLines(line)
	}
	return table.Flush()
}

func (s *Summary) tableLines(line func(columns ...string)) {
	line("ROUTER", "AS", "TABLE", "IPV4", "IPV6", "STATE")
	for i := range s.Routers {
		r := &s.Routers[i]
		state := "up"
		if r.Stale {
			state = "no session"
		}
		for _, t := range r.Tables {
			line(r.Name, fmt.Sprint(r.AS), t.Name(), fmt.Sprint(t.IPv4), fmt.Sprint(t.IPv6), state)
		}
	}
}

func (s *Summary) sessionLines(line func(columns ...string)) {
	line("SESSION", "OF", "ROUTER", "STATE", "ROUTES", "COMPLETE", "MESSAGES", "WHY")
	for i := range s.Sessions {
		x := &s.Sessions[i]
		line(x.Protocol, x.Address, x.Router, x.State(s.Now), x.RoutesText(), strings.Join(x.Complete, ", "),
			fmt.Sprint(x.Messages), x.Why)
	}
	for _, x := range s.Absent {
		state := "never came"
		if !x.Since.IsZero() {
			state = "down since " + x.Since.Format(time.DateTime)
		}
		line(x.Protocol, x.Router, "", state, "", "", "", x.Why)
	}
}

func (s *Summary) rpkiLines(line func(columns ...string)) {
	line("RPKI", "STATE", "PAYLOADS", "SERIAL", "UPDATED", "IN USE", "ERROR")
	for _, x := range s.RPKI.Sources {
		line(x.Name, x.State, fmt.Sprint(x.Payloads), fmt.Sprint(x.Serial), stamp(x.Updated), yes(x.InUse), x.Error)
	}
}

func (s *Summary) fileLines(line func(columns ...string)) {
	line("FILE", "NAME", "LOADED", "PEERS", "ROUTES", "ERROR")
	for _, x := range s.Files {
		line(x.File, "mrt:"+x.Name, stamp(x.Loaded), fmt.Sprint(x.Peers), fmt.Sprint(x.Routes), x.Error)
	}
}

func (s *Summary) exporterLines(line func(columns ...string)) {
	line("EXPORTER", "DEVICE", "ROUTER", "LOOKED UP", "OWN ROUTE", "ANOTHER'S", "NO ROUTE", "WHY")
	for i := range s.Exporters {
		x := &s.Exporters[i]
		line(x.Address.String(), x.Device, x.Router, fmt.Sprint(x.Total), x.Own(), x.Others(), x.None(), x.Notes())
	}
	if o := &s.OtherExporters; o.Total > 0 {
		line("others", "", "", fmt.Sprint(o.Total), o.Own(), o.Others(), o.None(), o.Notes())
	}
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "not yet"
	}
	return t.UTC().Format(time.DateTime)
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return ""
}

// State says in words whether the session is up, and since when.
func (x *Session) State(now time.Time) string {
	if x.Up {
		return "up for " + strings.TrimSuffix(verdict.Ago(now.Sub(x.Since)), " ago")
	}
	return "down, routes stay until " + x.Until.Format(time.TimeOnly)
}

// RoutesText returns Routes as text, such as "950000 ipv4 unicast".
func (x *Session) RoutesText() string {
	var parts []string
	for _, name := range sorted(x.Routes) {
		parts = append(parts, fmt.Sprintf("%d %s", x.Routes[name], name))
	}
	return strings.Join(parts, ", ")
}
