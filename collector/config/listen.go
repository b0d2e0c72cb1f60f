package config

import (
	"net/netip"
	"runtime"
)

// Listen is where datagrams are received.
type Listen struct {
	Addresses     []string // host:port; an empty host means all addresses, IPv4 and IPv6
	Workers       int      // each has one socket for each address, and one core; 0: as many as there are cores
	ReceiveBuffer int      // bytes that each socket requests from the kernel
	Allowed       Allowed
	TCP           []string // host:port for IPFIX over TCP
	TLS           ListenTLS
}

// Allowed says who may send. Nothing: all may.
type Allowed struct {
	Sources []netip.Prefix
	// Agents are the sFlow agents that the sources may send for, beside themselves; none: any.
	Agents []netip.Prefix
}

// ListenTLS configures IPFIX over TLS. Files are PEM.
type ListenTLS struct {
	Addresses         []string
	CertFile, KeyFile string
	ClientCAFile      string // CAs of exporters' certificates; "": exporters need none
}

// Forward is where datagrams are forwarded, unchanged.
type Forward struct {
	To         []string // host:port of other collectors
	KeepSource bool     // with the exporter's address and port instead of ours
}

// Streams reports whether TCP or TLS is listened on.
func (l *Listen) Streams() bool { return len(l.TCP)+len(l.TLS.Addresses) > 0 }

// DecoderCount is how many decoders share the process's memory: one for each worker, and one for all connections.
func (l *Listen) DecoderCount() int {
	if l.Streams() {
		return l.WorkerCount() + 1
	}
	return l.WorkerCount()
}

// WorkerCount is how many workers receive datagrams.
func (l *Listen) WorkerCount() int {
	if l.Workers > 0 {
		return l.Workers
	}
	return runtime.GOMAXPROCS(0)
}

// listenKeys are the settings of receiving and forwarding.
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
			field: allowed(&c.Listen.Allowed),
			help: "Exporters that may send: addresses and prefixes of sources. With entries such as \"agent " +
				"192.0.2.7\", sFlow of other agents than these and the source itself is refused too. Datagrams of " +
				"others are counted and dropped. Empty: all may send. `collector check` suggests a list from what a " +
				"running collector has heard."},

		{path: "listen.tcp.addresses", env: []string{"LISTEN_TCP"}, field: addressesOrOff(&c.Listen.TCP),
			help: "Addresses for IPFIX over TCP (RFC 7011), such as \":4739\". Empty or off: none."},
		{path: "listen.tls.addresses", env: []string{"LISTEN_TLS"}, field: addressesOrOff(&c.Listen.TLS.Addresses),
			help: "Addresses for IPFIX over TLS, such as \":4740\". Empty or off: none."},
		{path: "listen.tls.cert_file", env: []string{"LISTEN_TLS_CERT_FILE"}, field: text(&c.Listen.TLS.CertFile),
			help: "Certificate with its chain (PEM). Renewed files are used without a restart."},
		{path: "listen.tls.key_file", env: []string{"LISTEN_TLS_KEY_FILE"}, field: text(&c.Listen.TLS.KeyFile),
			help: "Its key (PEM), without a password."},
		{path: "listen.tls.client_ca_file", env: []string{"LISTEN_TLS_CLIENT_CA_FILE"},
			field: text(&c.Listen.TLS.ClientCAFile),
			help: "Authorities of the exporters' certificates (PEM): exporters without one cannot connect. Empty: " +
				"they need none."},

		{path: "forward.to", env: []string{"FORWARD_TO"}, field: targets(&c.Forward.To),
			help: "Other collectors (host:port) that get every datagram unchanged, such as pmacct. A name is " +
				"looked up once, at start."},
		{path: "forward.keep_source", env: []string{"FORWARD_KEEP_SOURCE"}, field: boolean(&c.Forward.KeepSource),
			help: "Send with the address and port of the exporter instead of this host's. This needs " +
				"CAP_NET_RAW, and targets of the exporter's address family. If nothing listens at a target, the " +
				"kernel then tells the exporter, not the collector."},
	}
}
