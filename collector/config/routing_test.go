package config

import (
	"slices"
	"strings"
	"testing"
)

// All wrong lines of a file that a setting names are told, not only the first.
func TestRoutingFiles_everyProblem(t *testing.T) {
	agents := write(t, "agents.map", "bgp_ip=192.0.2.1 ip=198.51.100.300\nbgp_ip=192.0.2.1 ip=198.51.100.1\nbgp_ip=x\n")
	keys := write(t, "md5.lst", "192.0.2.1 secret\n192.0.2.2,\n")
	_, problems := Load(Source{File: write(t, "c.yml", "routing:\n  agents_file: "+agents+
		"\n  bgp: {listen: [':1179'], neighbors: [192.0.2.0/24], md5_file: "+keys+"}\n")})
	for _, want := range []string{"agents.map:1: ", "agents.map:3: ", "md5.lst:1: ", "md5.lst:2: "} {
		if !slices.ContainsFunc(problems, func(p Problem) bool { return strings.Contains(p.String(), want) }) {
			t.Errorf("no problem has %q: %v", want, problems)
		}
	}
}
