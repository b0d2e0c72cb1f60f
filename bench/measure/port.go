package measure

import (
	"net/netip"

	"github.com/metranova/flow-collector/sink/freeport"
)

// Addresses are those of a collector with its local store.
type Addresses struct {
	Listen      netip.AddrPort // UDP
	Page, Store netip.AddrPort // TCP
}

// FreeAddresses returns addresses of 127.0.0.1 with free ports.
func FreeAddresses() (a Addresses, err error) {
	if a.Listen, err = freeport.Next(); err != nil {
		return a, err
	}
	if a.Page, err = freeport.Next(); err != nil {
		return a, err
	}
	a.Store, err = freeport.Next()
	return a, err
}
