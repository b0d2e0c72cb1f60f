package freeport

import (
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// someOf is the number of ports that each process of the test takes: more than a block has.
const someOf = perBlock + perBlock/2

// TestMain is the other process of TestNext_ofTwoProcesses where it is told so.
func TestMain(m *testing.M) {
	if os.Getenv("PRINT_FREE_PORTS") == "" {
		os.Exit(m.Run())
	}
	for range someOf {
		address, err := Next()
		if err != nil {
			panic(err)
		}
		println(address.String())
	}
	_, _ = os.Stdin.Read(make([]byte, 1)) // its blocks are its own until it ends
}

func TestNext_ofTwoProcesses(t *testing.T) {
	seen := map[string]bool{}
	for range someOf {
		address, err := Next()
		if err != nil {
			t.Fatal(err)
		}
		if seen[address.String()] {
			t.Fatalf("%s twice", address)
		}
		seen[address.String()] = true
	}
	var others []string
	for range 3 {
		others = append(others, otherProcess(t)...)
	}
	for _, address := range others {
		if seen[address] {
			t.Errorf("%s belongs to two processes", address)
		}
		seen[address] = true
	}
}

// otherProcess returns the ports of a process that lives until the end of the test.
func otherProcess(t *testing.T) []string {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), "PRINT_FREE_PORTS=yes")
	end, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		end.Close()
		_ = command.Wait()
	})
	var said strings.Builder
	for buf := make([]byte, 4096); strings.Count(said.String(), "\n") < someOf; {
		n, err := out.Read(buf)
		if err != nil {
			t.Fatalf("%v after %q", err, said.String())
		}
		said.Write(buf[:n])
	}
	return strings.Fields(said.String())
}

func TestNext_leavesOutUsed(t *testing.T) {
	for network, use := range map[string]func(address string) (io.Closer, error){
		"tcp4": func(address string) (io.Closer, error) { return net.Listen("tcp4", address) },
		"udp4": func(address string) (io.Closer, error) { return net.ListenPacket("udp4", address) },
	} {
		address, err := Next()
		if err != nil {
			t.Fatal(err)
		}
		used := netip.AddrPortFrom(address.Addr(), address.Port()+1)
		user, err := use(used.String())
		if err != nil {
			t.Skipf("%s is used by another program", used)
		}
		next, err := Next()
		if err != nil {
			t.Fatal(err)
		}
		if next == used {
			t.Errorf("%s %s is used, but was given", network, used)
		}
		user.Close()
	}
}
