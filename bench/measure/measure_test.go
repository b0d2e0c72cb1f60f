package measure

import (
	"bufio"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A shell that works, and another one below it that does, are one tree, also when they are gone.
func TestTree(t *testing.T) {
	cmd := exec.Command("sh", "-c",
		`sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo done; read x'; true`)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := Start(cmd, 0); err != nil {
		t.Fatal(err)
	}
	tree := NewTree(cmd.Process.Pid)
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if !tree.Look() {
		t.Error("the process is gone")
	}
	tree.Weigh()
	if of, other := tree.Threads("sh"), tree.Threads("none"); of < 10*time.Millisecond || other != 0 {
		t.Errorf("threads named sh had %s, want most of it, and others %s", of, other)
	}
	_ = in.Close()
	_ = cmd.Wait()
	if tree.Look() {
		t.Error("the process is still there")
	}
	all, root := tree.CPU()
	if all < 10*time.Millisecond || root >= all {
		t.Errorf("all had %s and the first %s, want the one below it to have most", all, root)
	}
	if peak, first := tree.Peak(); peak < 100<<10 || first < 50<<10 || peak <= first {
		t.Errorf("a peak of %d bytes, of the first %d", peak, first)
	}
}

func TestSockets(t *testing.T) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.(*net.UDPConn).SetReadBuffer(1 << 14); err != nil {
		t.Fatal(err)
	}
	port := uint16(conn.LocalAddr().(*net.UDPAddr).Port)
	if s := Sockets(port); s != (Socket{Bound: 1}) {
		t.Fatalf("%+v, want one socket with nothing in it", s)
	}
	sender, err := net.Dial("udp4", conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	for range 100 {
		if _, err := sender.Write(make([]byte, 1400)); err != nil {
			t.Fatal(err)
		}
	}
	s := Sockets(port)
	if s.Queued == 0 || s.Drops == 0 || s.Drops >= 100 {
		t.Errorf("%+v, want some queued and the rest of 100 dropped", s)
	}
}

func TestSocket_add(t *testing.T) {
	table := `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref ` +
		`pointer drops
  100: 0100007F:0807 00000000:0000 07 00000000:00001A00 00:00000000 00000000     0        0 1111 2 0000000000000000 17
  101: 00000000:0807 00000000:0000 07 00000000:00000010 00:00000000 00000000     0        0 1112 2 0000000000000000 3
  102: 0100007F:0808 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1113 2 0000000000000000 99
  cut`
	var s Socket
	s.add(table, 0x807)
	if want := (Socket{Bound: 2, Queued: 0x1a10, Drops: 20}); s != want {
		t.Errorf("%+v, want %+v", s, want)
	}
}

func TestStart_staysOnItsCore(t *testing.T) {
	cmd := exec.Command("sh", "-c", "grep Cpus_allowed_list /proc/self/status")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := Start(cmd, 0); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if fields := strings.Fields(line); len(fields) != 2 || fields[1] != "0" {
		t.Errorf("%q, want core 0", line)
	}
	_ = cmd.Wait()
}
