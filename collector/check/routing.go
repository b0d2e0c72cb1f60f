package check

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/pmacct"
	"github.com/metranova/flow-collector/collector/routing"
	"github.com/metranova/flow-collector/collector/rpki"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/collector/web"
)

// rpkiWait is how long RPKI caches are waited for. Their first data may take longer, which is no problem.
const rpkiWait = 10 * time.Second

// routing tries what sessions with routers need: ports, keys, files, RPKI caches, and routers for the exporters that
// were heard.
func (c *checker) routing(ctx context.Context) {
	r := &c.cfg.Routing
	for _, address := range r.BGP.Listen {
		c.tcpPort("routing.bgp.listen", "routing", "BGP", address)
	}
	for _, address := range r.BMP.Listen {
		c.tcpPort("routing.bmp.listen", "routing", "BMP", address)
	}
	if len(r.BGP.Listen) > 0 {
		c.neighborKeys()
	}
	for _, address := range r.BMP.Connect {
		c.reach(ctx, "BMP", "router", address)
	}
	for _, name := range slices.Sorted(maps.Keys(r.MRT.Files)) {
		c.mrtFile(name, r.MRT.Files[name])
	}
	c.rpki(ctx)
	if r.On() {
		c.routersOfExporters(ctx)
	}
}

// neighborKeys tries the TCP-MD5 keys, and names neighbours at public addresses that have none.
func (c *checker) neighborKeys() {
	r := &c.cfg.Routing
	neighbors := slices.Clone(r.BGP.Neighbors)
	if r.Neighbors.File != "" {
		more, err := pmacct.ReadAllowed(r.Neighbors.File)
		if err != nil {
			return // the configuration's problem
		}
		neighbors = append(neighbors, more...)
	}
	var keys map[netip.Prefix]string
	if r.BGP.MD5File != "" {
		var err error
		if keys, err = pmacct.ReadKeys(r.BGP.MD5File); err != nil {
			return // the configuration's problem
		}
		if err := routing.TryKeys(keys); err != nil {
			c.say(checkProblem, "routing", "routing.bgp.md5_file: %v", err)
		} else {
			c.say(checkOK, "routing", "the kernel takes %d TCP-MD5 keys", len(keys))
		}
	}
	var open []string
	for _, p := range neighbors {
		if fromAnywhere(p.Addr()) && !hasKey(keys, p) {
			open = append(open, strings.TrimSuffix(p.String(), "/32"))
		}
	}
	if len(open) > 0 {
		c.say(checkWarning, "routing", "neighbors at public addresses have no TCP-MD5 key, so that others can send "+
			"in their name: %s (routing.bgp.md5_file)", someOf(open))
	}
}

func hasKey(keys map[netip.Prefix]string, neighbor netip.Prefix) bool {
	for p := range keys {
		if p.Bits() <= neighbor.Bits() && p.Contains(neighbor.Addr()) {
			return true
		}
	}
	return false
}

// sharedAddresses are those of RFC 6598.
var sharedAddresses = netip.MustParsePrefix("100.64.0.0/10")

// fromAnywhere reports whether packets from an address can come from anywhere.
func fromAnywhere(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsPrivate() && !sharedAddresses.Contains(a)
}

// mostNamed is how many of a kind a finding names.
const mostNamed = 10

func someOf(all []string) string {
	if len(all) > mostNamed {
		all = append(slices.Clone(all[:mostNamed]), "…")
	}
	return strings.Join(all, ", ")
}

// reach tries to connect.
func (c *checker) reach(ctx context.Context, protocol, what, address string) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var d net.Dialer
	connection, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		c.say(checkWarning, "routing", "the %s %s cannot be reached for %s: %v", what, address, protocol, err)
		return
	}
	_ = connection.Close()
	c.say(checkOK, "routing", "the %s %s can be reached for %s", what, address, protocol)
}

func (c *checker) mrtFile(name, path string) {
	err := routing.ProbeMRT(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		c.say(checkWarning, "routing", "the MRT file %s is not there yet: %s", name, path)
	case err != nil:
		c.say(checkProblem, "routing", "the MRT file %s: %s: %v", name, path, err)
	default:
		c.say(checkOK, "routing", "the MRT file %s: %s", name, path)
	}
}

// rpki asks the RPKI caches for their data, and reads the file.
func (c *checker) rpki(ctx context.Context) {
	r := &c.cfg.Routing.RPKI
	certificates, err := setup.RPKICertificates(c.cfg)
	if err != nil {
		return // the configuration's problem
	}
	for _, cache := range r.Caches { // one after the other: a client has only as many sessions as it needs
		client := rpki.Open(rpki.Options{Caches: []string{cache}, TLS: certificates, Log: zap.NewNop()})
		source := awaitRPKI(ctx, client)
		client.Close()
		switch {
		case source.Up():
			c.say(checkOK, "routing", "the RPKI cache %s has %d payloads", cache, source.Payloads)
		case source.Error != "":
			c.say(checkWarning, "routing", "the RPKI cache %s: %s", cache, source.Error)
		default:
			c.say(checkNote, "routing", "the RPKI cache %s answers, and has not sent all of its data in %s", cache,
				rpkiWait)
		}
	}
	if r.File != "" {
		client := rpki.Open(rpki.Options{File: r.File, Log: zap.NewNop()})
		source := client.Stats().Sources[0]
		client.Close()
		if source.Error != "" {
			c.say(checkWarning, "routing", "the RPKI file: %s", source.Error)
		} else {
			c.say(checkOK, "routing", "the RPKI file has %d payloads", source.Payloads)
		}
	}
}

// awaitRPKI waits until a cache has sent its data, or fails.
func awaitRPKI(ctx context.Context, client *rpki.Client) (source rpki.Source) {
	for end := time.Now().Add(rpkiWait); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		source = client.Stats().Sources[0]
		if source.Up() || source.Error != "" {
			break
		}
	}
	return source
}

// routersOfExporters names exporters that a running collector has heard and that no configured router matches by its
// address. A BGP identifier or a device in metadata may match them still, which a running collector knows.
func (c *checker) routersOfExporters(ctx context.Context) {
	if c.cfg.HTTP.Listen == "" || len(c.cfg.Routing.Rules.Fallback) > 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	server := "http://" + web.Reachable(c.cfg.HTTP.Listen)
	var heard struct {
		Exporters []struct {
			Address netip.Addr `json:"address"`
			Records uint64     `json:"records"`
		} `json:"exporters"`
	}
	text, err := web.Get(ctx, server, "/exporters.json")
	if err != nil || json.Unmarshal(text, &heard) != nil {
		return // none is running
	}
	var known struct {
		Exporters []struct {
			Address netip.Addr `json:"address"`
			Router  string     `json:"router"`
		} `json:"exporters"`
	}
	if text, err = web.Get(ctx, server, "/routing.json"); err == nil {
		_ = json.Unmarshal(text, &known)
	}
	matched := map[netip.Addr]bool{}
	for _, x := range known.Exporters {
		matched[x.Address] = x.Router != ""
	}
	covered := slices.Concat(c.agentRules(), c.routerAddresses())
	var without []string
	for _, x := range heard.Exporters {
		a := x.Address
		if x.Records > 0 && !matched[a] && !within(covered, a) && !slices.Contains(without, a.String()) {
			without = append(without, a.String())
		}
	}
	if len(without) > 0 {
		c.say(checkWarning, "routing", "no router that may connect, and no rule of routing.agents, has the address of "+
			"these exporters: %s", someOf(without))
	}
}

// agentRules are the exporters that have a rule.
func (c *checker) agentRules() (all []netip.Prefix) {
	for a := range c.cfg.Routing.Agents {
		all = append(all, netip.PrefixFrom(a, a.BitLen()))
	}
	if path := c.cfg.Routing.Rules.AgentsFile; path != "" {
		rules, err := pmacct.ReadAgents(path)
		if err == nil {
			for _, r := range rules {
				p := r.Exporter
				if !p.IsValid() { // any exporter
					return append(all, netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"))
				}
				all = append(all, p)
			}
		}
	}
	return all
}

// routerAddresses are those of the routers that may connect, that are connected to, and that MRT files are named after.
func (c *checker) routerAddresses() []netip.Prefix {
	r := &c.cfg.Routing
	all := slices.Concat(r.BGP.Neighbors, r.BMP.Allowed)
	if r.Neighbors.File != "" {
		more, _ := pmacct.ReadAllowed(r.Neighbors.File)
		all = append(all, more...)
	}
	add := func(host string) {
		if a, err := netip.ParseAddr(host); err == nil {
			all = append(all, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	for _, address := range r.BMP.Connect {
		if host, _, err := net.SplitHostPort(address); err == nil {
			add(host)
		}
	}
	for name := range r.MRT.Files {
		add(name)
	}
	return all
}

func within(prefixes []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}
