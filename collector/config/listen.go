package config

import (
	"net/netip"
	"runtime"
)

// Listen says where datagrams come in.
type Listen struct {
	Addresses     []string // host:port; an empty host is every address, IPv4 and IPv6
	Workers       int      // one socket of each address and one core each; 0: as many as there are cores
	ReceiveBuffer int      // bytes that each socket asks the kernel for
	Allowed       []netip.Prefix
}

// Forward says where datagrams are sent on to, as they came.
type Forward struct {
	To         []string // host:port of other collectors
	KeepSource bool     // with the exporter's address and port instead of ours
}

// WorkerCount is how many workers there are.
func (l *Listen) WorkerCount() int {
	if l.Workers > 0 {
		return l.Workers
	}
	return runtime.GOMAXPROCS(0)
}

// listenKeys are where datagrams come in and where they are sent on to.
func listenKeys(c *Config) []key {
	return []key{
		{path: "listen.addresses", env: []string{"LISTEN"}, def: ":2055, :4739, :6343",
			field: addresses(&c.Listen.Addresses),
			help: "UDP addresses to receive on. Every port takes every protocol. Without a host: all addresses, " +
				"IPv4 and IPv6."},
		{path: "listen.workers", field: number(&c.Listen.Workers, 0, 256),
			help: "Number of workers. Each has a core, and a socket of its own for each address. 0: one for each " +
				"core."},
		{path: "listen.receive_buffer", def: "64MiB", field: size(&c.Listen.ReceiveBuffer, 1<<12),
			help: "Receive buffer of each socket. More than net.core.rmem_max needs that sysctl raised, or " +
				"CAP_NET_ADMIN."},
		{path: "listen.allowed_exporters", env: []string{"LISTEN_ALLOWED_EXPORTERS"}, live: true,
			field: prefixes(&c.Listen.Allowed),
			help: "Exporters that may send: addresses and prefixes. Datagrams of others are counted and dropped. " +
				"Empty: all may send. `collector check` suggests a list from what a running collector has heard."},

		{path: "forward.to", env: []string{"FORWARD_TO"}, field: targets(&c.Forward.To),
			help: "Other collectors (host:port) that get every datagram unchanged, such as pmacct. A name is " +
				"looked up once, at start."},
		{path: "forward.keep_source", env: []string{"FORWARD_KEEP_SOURCE"}, field: boolean(&c.Forward.KeepSource),
			help: "Send with the address and port of the exporter instead of this host's. This needs " +
				"CAP_NET_RAW, and targets of the exporter's address family. If nothing listens at a target, the " +
				"kernel then tells the exporter, not the collector."},
	}
}
