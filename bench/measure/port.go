package measure

import (
	"fmt"
	"net"
	"net/netip"
)

// Addresses are those of a collector with its local store.
type Addresses struct {
	Listen      netip.AddrPort // UDP
	Page, Store netip.AddrPort // TCP
}

// FreeAddresses returns addresses of 127.0.0.1 with free ports.
func FreeAddresses() (a Addresses, err error) {
	if a.Listen, err = FreeUDP(); err != nil {
		return a, err
	}
	if a.Page, err = FreeTCP(); err != nil {
		return a, err
	}
	a.Store, err = FreeTCP()
	return a, err
}

// FreeUDP and FreeTCP return an address of 127.0.0.1 with a free port.
func FreeUDP() (netip.AddrPort, error) {
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("find a free UDP port: %w", err)
	}
	defer socket.Close()
	return socket.LocalAddr().(*net.UDPAddr).AddrPort(), nil
}

// FreeTCP is described at FreeUDP.
func FreeTCP() (netip.AddrPort, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("find a free TCP port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).AddrPort(), nil
}
