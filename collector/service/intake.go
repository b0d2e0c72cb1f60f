package service

import (
	"net/netip"
	"strings"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/forward"
	"github.com/metranova/flow-collector/collector/ledger"
	"github.com/metranova/flow-collector/collector/listen"
	"github.com/metranova/flow-collector/collector/pmacct"
	"github.com/metranova/flow-collector/collector/report"
	"github.com/metranova/flow-collector/collector/routing"
	"github.com/metranova/flow-collector/collector/rpki"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/collector/stream"
)

// intake is what data comes in by: UDP sockets, connections of exporters, and BGP sessions of routers. The zero value
// has none of them.
type intake struct {
	listeners  []*listen.Worker
	forwarders []*forward.Forwarder // one of each listener; nil ones where nothing is forwarded
	streams    *stream.Listener     // nil: nothing comes over TCP
	station    *routing.Station     // nil: there are no routes
	maps       *pmacct.Maps         // of routers and VRFs
	rpki       *rpki.Client         // nil: routes are not validated
}

// openIntake opens all of it, or nothing. Datagrams wait in the kernel until somebody receives them.
func openIntake(cfg *config.Config, log *zap.Logger) (*intake, error) {
	in := &intake{}
	if err := in.open(cfg, log); err != nil {
		in.abort()
		return nil, err
	}
	return in, nil
}

func (in *intake) open(cfg *config.Config, log *zap.Logger) (err error) {
	if in.listeners, err = listen.Open(listen.Options{
		Addresses: cfg.Listen.Addresses, Workers: cfg.Listen.WorkerCount(), ReceiveBuffer: cfg.Listen.ReceiveBuffer,
		Allowed: cfg.Listen.Allowed.Sources, Agents: cfg.Listen.Allowed.Agents, Log: log.Named("listen"),
	}); err != nil {
		return err
	}
	if in.streams, err = openStreams(cfg, log); err != nil {
		return err
	}
	if in.station, err = setup.Routing(cfg, log); err != nil {
		return err
	}
	if in.maps, err = setup.Maps(cfg, log); err != nil {
		return err
	}
	if in.rpki, err = setup.RPKI(cfg, log); err != nil {
		return err
	}
	in.forwarders, err = setup.Forwarders(cfg, len(in.listeners))
	return err
}

// openStreams listens for IPFIX over TCP and TLS; nil where that is off.
func openStreams(cfg *config.Config, log *zap.Logger) (*stream.Listener, error) {
	if !cfg.Listen.Streams() {
		return nil, nil
	}
	return stream.Open(stream.Options{
		TCP: cfg.Listen.TCP, TLS: cfg.Listen.TLS.Addresses, Certificate: setup.Certificate(cfg),
		Allowed: cfg.Listen.Allowed.Sources, Log: log.Named("listen"),
	})
}

// abort closes what is open, where nobody receives yet.
func (in *intake) abort() {
	setup.CloseForwarders(in.forwarders)
	in.station.Abort()
	in.maps.Close()
	in.rpki.Close()
	in.streams.Abort()
	in.stopReceiving()
	in.free()
}

// stopReceiving makes the loops that receive end, each when it has taken what is there.
func (in *intake) stopReceiving() {
	for _, l := range in.listeners {
		l.Close()
	}
}

// free releases the sockets, on which nobody may receive any more. Their counters can still be read.
func (in *intake) free() {
	for _, l := range in.listeners {
		l.Free()
	}
}

// allow changes who may send.
func (in *intake) allow(allowed *config.Allowed) {
	for _, l := range in.listeners {
		l.Allow(allowed.Sources, allowed.Agents)
	}
	in.streams.Allow(allowed.Sources)
}

// live reports whether data comes from the network, and not from captures, which are the operator's.
func (in *intake) live() bool { return len(in.listeners) > 0 }

// sockets are the counters of the UDP sockets.
func (in *intake) sockets() (all []ledger.Socket) {
	for n, l := range in.listeners {
		for _, socket := range l.Sockets() {
			all = append(all, ledger.Socket{SocketStats: socket, Worker: n})
		}
	}
	return all
}

// refused counts the datagrams of sources that may not send.
func (in *intake) refused() map[netip.Addr]uint64 {
	return bySource(in.listeners, (*listen.Worker).Refusals)
}

// overShare counts the datagrams that were dropped of sources that sent more than their share.
func (in *intake) overShare() map[netip.Addr]uint64 {
	return bySource(in.listeners, (*listen.Worker).OverShare)
}

// bySource adds up what all listeners count of each source.
func bySource(listeners []*listen.Worker, counts func(*listen.Worker) map[netip.Addr]uint64) map[netip.Addr]uint64 {
	all := map[netip.Addr]uint64{}
	for _, l := range listeners {
		for source, n := range counts(l) {
			all[source] += n
		}
	}
	return all
}

// losses are what was lost before a worker saw it, and what could not be forwarded.
func (in *intake) losses() []report.Loss {
	losses := report.ForwardLosses(in.forwarders)
	losses = append(losses, report.SocketLosses(in.listeners)...)
	return append(losses, report.ConnectionLosses(in.streams)...)
}

// addresses are those that the UDP sockets are bound to.
func (in *intake) addresses() []string {
	if len(in.listeners) == 0 {
		return nil
	}
	return in.listeners[0].Addresses()
}

// announce says in the log where data may come in, and where datagrams go on to.
func (in *intake) announce(cfg *config.Config, log *zap.Logger) {
	if in.station != nil {
		announceRouting(in.station, &cfg.Routing, log)
	}
	fields := []zap.Field{zap.String("udp", strings.Join(in.addresses(), " ")), zap.Int("workers", len(in.listeners))}
	for _, transport := range []stream.Transport{stream.TCP, stream.TLS} {
		if addresses := in.streams.Addresses(transport); len(addresses) > 0 {
			fields = append(fields, zap.String(string(transport), strings.Join(addresses, " ")))
		}
	}
	log.Info("listening", fields...)
	if len(cfg.Forward.To) > 0 {
		log.Info("datagrams are forwarded too", zap.Strings("to", cfg.Forward.To),
			zap.Bool("with the exporter's address", cfg.Forward.KeepSource))
	}
}

// announceRouting says where routes may come from.
func announceRouting(s *routing.Station, r *config.Routing, log *zap.Logger) {
	if at := s.Addresses(); len(at) > 0 {
		log.Info("routers may connect for BGP", zap.Strings("tcp", at), zap.Stringers("neighbors", r.BGP.Neighbors))
	}
	if at := s.BMPAddresses(); len(at) > 0 {
		log.Info("routers may connect for BMP", zap.Strings("tcp", at), zap.Stringers("allowed", r.BMP.Allowed))
	}
	if len(r.BMP.Connect) > 0 {
		log.Info("connecting to routers for BMP", zap.Strings("routers", r.BMP.Connect))
	}
}
