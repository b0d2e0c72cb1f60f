package setup

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/forward"
)

// Forwarders makes a forwarder for each worker; nil if nothing is forwarded.
func Forwarders(cfg *config.Config, workers int) ([]*forward.Forwarder, error) {
	all := make([]*forward.Forwarder, workers)
	targets, err := forwardTargets(cfg)
	if err != nil || len(targets) == 0 {
		return all, err
	}
	for n := range all {
		if all[n],
			err = forward.Open(forward.Options{Targets: targets, KeepSource: cfg.Forward.KeepSource}); err != nil {
			CloseForwarders(all)
			return nil, err
		}
	}
	return all, nil
}

func CloseForwarders(all []*forward.Forwarder) {
	for _, f := range all {
		f.Close()
	}
}

// forwardTargets resolves the targets. It refuses a target that is this collector itself, which would forward to itself
// for ever.
func forwardTargets(cfg *config.Config) ([]netip.AddrPort, error) {
	var targets []netip.AddrPort
	for _, text := range cfg.Forward.To {
		target, err := forward.Resolve(text)
		if err != nil {
			return nil, err
		}
		for _, own := range cfg.Listen.Addresses {
			if receives(own, target) {
				return nil, fmt.Errorf("forward to %s: that is where this collector listens (%s)", text, own)
			}
		}
		targets = append(targets, target)
	}
	return targets, nil
}

// receives reports whether datagrams to the target arrive at a socket that listens on own, which is host:port.
func receives(own string, target netip.AddrPort) bool {
	host, port, _ := net.SplitHostPort(own)
	if port != strconv.Itoa(int(target.Port())) {
		return false
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "localhost":
		return target.Addr().IsLoopback()
	case err == nil && !ip.IsUnspecified():
		return ip.Unmap() == target.Addr()
	}
	return isOwn(target.Addr())
}

// isOwn reports whether an address is this host's.
func isOwn(ip netip.Addr) bool {
	if ip.IsLoopback() || ip.IsUnspecified() {
		return true
	}
	addresses, _ := net.InterfaceAddrs() // after an error the traffic will show it
	for _, a := range addresses {
		if network, ok := a.(*net.IPNet); ok && network.IP.Equal(ip.AsSlice()) {
			return true
		}
	}
	return false
}

// IsThisHost reports whether a host is this one by its name.
func IsThisHost(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
