package listen

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestTransientErrors(t *testing.T) {
	for _, errno := range []unix.Errno{
		unix.EAGAIN, unix.EINTR, unix.ENOBUFS, unix.ENOMEM, unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH,
		unix.EPROTO,
	} {
		if !isTransient(errno) || !isTransient(fmt.Errorf("receive: %w", os.NewSyscallError("recvmmsg", errno))) {
			t.Errorf("%v ends a worker", errno)
		}
	}
	for _, errno := range []unix.Errno{unix.EBADF, unix.ENOTSOCK, unix.EFAULT, unix.EINVAL, unix.ENOSYS, unix.EPERM} {
		if isTransient(errno) {
			t.Errorf("%v does not end a worker", errno)
		}
	}
	if isTransient(errors.New("another")) {
		t.Error("an error that is of no system call does not end a worker")
	}
}

// An ICMP answer to something that was sent, which the kernel reports at the next call, does not end the reading.
func TestReceiveGoesOnAfterARefusal(t *testing.T) {
	w := openWorkers(t, Options{})[0]
	fd := w.sockets[0].fd
	// A port where nobody listens.
	closed, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(closed, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	nobody, err := unix.Getsockname(closed)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.Close(closed), unix.Connect(fd, nobody)); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(fd, []byte("anybody?")); err != nil {
		t.Fatal(err)
	}
	if got, err := w.Receive(time.Second); err != nil || len(got) != 0 {
		t.Fatalf("%d datagrams, error %v, after a refusal", len(got), err)
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(w.sockets[0].port),
		Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(fd, []byte("myself")); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, w, 1); len(got) != 1 || string(got[0].Payload) != "myself" {
		t.Errorf("after it: %+v", got)
	}
}

// A socket that cannot be read any more is an error that names it, not a wait.
func TestReceiveFailsForGood(t *testing.T) {
	w := openWorkers(t, Options{Addresses: []string{"127.0.0.1:0", "127.0.0.1:0"}})[0]
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if err := unix.Dup3(int(null.Fd()), w.sockets[1].fd, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	_, err = w.Receive(time.Second)
	if err == nil || errors.Is(err, ErrClosed) || !strings.Contains(err.Error(), w.Addresses()[1]) ||
		strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v, want one line that names %s", err, w.Addresses()[1])
	}
}
