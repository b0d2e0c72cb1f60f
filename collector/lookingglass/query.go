package lookingglass

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/metranova/flow-collector/collector/pmacct"
	"github.com/metranova/flow-collector/decoder/bmp"
	"github.com/metranova/flow-collector/decoder/flow"
)

// Query asks for the routes to an address or a prefix.
type Query struct {
	To     netip.Prefix // for an address: a prefix of its full length
	Router string       // name, or an address of the router; "": all
	// Table is global (all classes without a route distinguisher), unicast, labelled, vpn, or a route distinguisher;
	// "": all.
	Table   string
	View    string // bgp, mrt, or one of BMP; "": all
	Shorter bool   // also the shorter prefixes that hold To, not only the longest of each view
	// Exporter asks which route a flow of this exporter to To gets; the zero value asks nothing.
	Exporter netip.Addr
	Flow     Flow
}

// Flow has the other fields of a flow record that decide on its route. A zero field is not given.
type Flow struct {
	RD      [8]byte
	NextHop netip.Addr // BGP next hop
	In, Out uint32     // input and output interface
}

// parameters are the names of a query's values in a URL.
const (
	paramTo       = "address"
	paramRouter   = "router"
	paramTable    = "table"
	paramView     = "view"
	paramShorter  = "all"
	paramExporter = "exporter"
	paramRD       = "rd"
	paramNextHop  = "next_hop"
	paramIn       = "in"
	paramOut      = "out"
)

// Views returns the values that Query.View may have, except "".
func Views() []string {
	all := []string{"bgp"}
	for v := range bmp.View(bmp.Views) {
		all = append(all, v.String())
	}
	return append(all, "mrt")
}

// longValue is the maximum length of a value of a query, in bytes.
const longValue = 256

// Parse reads a query from the values of a URL. The error names the value that is wrong and says what is allowed.
func Parse(values url.Values) (q Query, err error) {
	get := func(name string) string { return strings.TrimSpace(values.Get(name)) }
	for name := range values {
		if len(values.Get(name)) > longValue {
			return q, fmt.Errorf("%.20q is too long", name)
		}
	}
	if q.To, err = parseTarget(get(paramTo)); err != nil {
		return q, err
	}
	q.Router, q.Table, q.View = get(paramRouter), get(paramTable), get(paramView)
	switch q.Table {
	case "", "global", "unicast", "labelled", "vpn":
	default:
		if _, err := pmacct.ParseRD(q.Table); err != nil {
			return q, fmt.Errorf("%q is no table: global, unicast, labelled, vpn, or a route distinguisher such as "+
				"0:64500:7", q.Table)
		}
	}
	if q.View != "" && !slices.Contains(Views(), q.View) {
		return q, fmt.Errorf("%q is no view: %s", q.View, strings.Join(Views(), ", "))
	}
	if text := get(paramShorter); text != "" {
		if q.Shorter, err = strconv.ParseBool(text); err != nil {
			return q, fmt.Errorf("%q is neither 1 nor 0", text)
		}
	}
	if text := get(paramExporter); text != "" {
		if q.Exporter, err = parseAddress(text); err != nil {
			return q, fmt.Errorf("the exporter %q is not an address", text)
		}
	}
	return q, q.Flow.parse(get)
}

func (f *Flow) parse(get func(string) string) (err error) {
	if text := get(paramRD); text != "" {
		if f.RD, err = pmacct.ParseRD(text); err != nil {
			return fmt.Errorf("the route distinguisher %q: %w", text, err)
		}
	}
	if text := get(paramNextHop); text != "" {
		if f.NextHop, err = parseAddress(text); err != nil {
			return fmt.Errorf("the next hop %q is not an address", text)
		}
	}
	for _, x := range []struct {
		name string
		to   *uint32
	}{{paramIn, &f.In}, {paramOut, &f.Out}} {
		if text := get(x.name); text != "" {
			n, err := strconv.ParseUint(text, 10, 32)
			if err != nil {
				return fmt.Errorf("the interface %q is not a number", text)
			}
			*x.to = uint32(n)
		}
	}
	return nil
}

func parseAddress(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	return a.Unmap().WithZone(""), err
}

func parseTarget(text string) (netip.Prefix, error) {
	if a, err := parseAddress(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case text == "":
		return p, fmt.Errorf("no address given")
	case err != nil:
		return p, fmt.Errorf("%q is neither an address nor a prefix", text)
	case p.Addr().Is4In6() && p.Bits() < 96:
		return p, fmt.Errorf("%q is no prefix of IPv4", text)
	case p.Addr().Is4In6():
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

// Values returns the query as values of a URL, which Parse reads.
func (q *Query) Values() url.Values {
	v := url.Values{}
	set := func(name, value string, is bool) {
		if is {
			v.Set(name, value)
		}
	}
	set(paramTo, q.Target(), q.To.IsValid())
	set(paramRouter, q.Router, q.Router != "")
	set(paramTable, q.Table, q.Table != "")
	set(paramView, q.View, q.View != "")
	set(paramShorter, "1", q.Shorter)
	set(paramExporter, q.Exporter.String(), q.Exporter.IsValid())
	set(paramRD, rdText(q.Flow.RD), q.Flow.RD != [8]byte{})
	set(paramNextHop, q.Flow.NextHop.String(), q.Flow.NextHop.IsValid())
	set(paramIn, strconv.FormatUint(uint64(q.Flow.In), 10), q.Flow.In > 0)
	set(paramOut, strconv.FormatUint(uint64(q.Flow.Out), 10), q.Flow.Out > 0)
	return v
}

// Target returns To as text: an address without its length.
func (q *Query) Target() string {
	if q.To.IsValid() && q.To.IsSingleIP() {
		return q.To.Addr().String()
	}
	return q.To.String()
}

// record returns a flow record of the query's exporter to To.
func (q *Query) record() *flow.Record {
	r := &flow.Record{Exporter: flow.AddrFrom(q.Exporter), DstAddr: flow.AddrFrom(q.To.Addr()), MPLSRD: q.Flow.RD,
		InIf: q.Flow.In, OutIf: q.Flow.Out, IPVersion: 6}
	if q.To.Addr().Is4() {
		r.IPVersion = 4
	}
	if q.Flow.NextHop.IsValid() {
		r.BGPNextHop = flow.AddrFrom(q.Flow.NextHop)
		r.Set(flow.BGPNextHop)
	}
	return r
}
