package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/urfave/cli/v3"
)

func talkCommand() *cli.Command {
	return &cli.Command{
		Name:        "talk",
		Usage:       "make live UDP and TCP traffic between the sites' addresses, for flow exporters to watch",
		Description: "The first eight addresses of each site must be local; bench/live.sh makes them so.",
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "for", Usage: "stop after `TIME`", Value: time.Minute},
			&cli.IntFlag{Name: "conversations", Usage: "`N` conversations a second", Value: 20},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			ctx, cancel := context.WithTimeout(ctx, c.Duration("for"))
			defer cancel()
			return talk(ctx, c.Int("conversations"))
		},
	}
}

// talk starts n conversations a second until ctx ends, and waits for the last.
func talk(ctx context.Context, n int) error {
	rng := rand.New(rand.NewPCG(1, 1))
	ticker := time.NewTicker(time.Second / time.Duration(n))
	defer ticker.Stop()
	var running sync.WaitGroup
	failures := make(chan error, 1)
	for started := 0; ; started++ {
		select {
		case <-ctx.Done():
			running.Wait()
			fmt.Printf("%d conversations\n", started)
			return nil
		case err := <-failures:
			return err
		case <-ticker.C:
		}
		all := sites()
		a, b := all[rng.IntN(len(all))], all[rng.IntN(len(all))]
		from, to := a.host(rng, started%3 == 0), b.host(rng, started%3 == 0)
		packets, tcp := 1+rng.IntN(40), started%2 == 0
		running.Go(func() {
			converse := udpConversation
			if tcp {
				converse = tcpConversation
			}
			if err := converse(from, to, packets); err != nil {
				select {
				case failures <- err:
				default:
				}
			}
		})
	}
}

// host is an address of the site.
func (s site) host(rng *rand.Rand, six bool) netip.Addr {
	if six {
		b := s.v6.Addr().As16()
		b[15] = byte(1 + rng.IntN(8))
		return netip.AddrFrom16(b)
	}
	b := s.v4.Addr().As4()
	b[3] = byte(1 + rng.IntN(8))
	return netip.AddrFrom4(b)
}

// udpConversation sends datagrams one way.
func udpConversation(from, to netip.Addr, packets int) error {
	receiver, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, 0)))
	if err != nil {
		return err
	}
	defer receiver.Close()
	sender, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)),
		receiver.LocalAddr().(*net.UDPAddr))
	if err != nil {
		return err
	}
	defer sender.Close()
	payload := make([]byte, 900)
	for range packets {
		if _, err := sender.Write(payload); err != nil {
			return err
		}
		time.Sleep(2 * time.Millisecond)
	}
	return nil
}

// tcpConversation sends a stream one way.
func tcpConversation(from, to netip.Addr, packets int) error {
	listener, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(to, 0)))
	if err != nil {
		return err
	}
	defer listener.Close()
	var received sync.WaitGroup
	received.Go(func() {
		if conn, err := listener.Accept(); err == nil {
			_, _ = io.Copy(io.Discard, conn) // the sender reports what fails
			conn.Close()
		}
	})
	defer received.Wait()
	sender, err := net.DialTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0)),
		listener.Addr().(*net.TCPAddr))
	if err != nil {
		listener.Close()
		return err
	}
	defer sender.Close()
	_, err = sender.Write(make([]byte, 1200*packets))
	return err
}
