package listen

import (
	"os"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Offsets for packet loads relative to the network header (linux/filter.h, SKF_NET_OFF).
const networkHeader = 0xfff00000

// steer makes the kernel choose a socket of fd's SO_REUSEPORT group by the datagram's source address alone, so that an
// exporter that sends from several ports reaches one worker. The group's sockets are numbered in the order of their bind.
func steer(fd, sockets int) error {
	program, err := bpf.Assemble(steering(uint32(sockets)))
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(program))
	for i, p := range program {
		filter[i] = unix.SockFilter{Code: p.Op, Jt: p.Jt, Jf: p.Jf, K: p.K}
	}
	fprog := unix.SockFprog{Len: uint16(len(filter)), Filter: unsafe.SliceData(filter)}
	return os.NewSyscallError("setsockopt SO_ATTACH_REUSEPORT_CBPF",
		unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, &fprog))
}

// steering hashes the source address of IPv4 (RFC 791 §3.1) or IPv6 (RFC 8200 §3) to a number below sockets.
func steering(sockets uint32) []bpf.Instruction {
	const (
		source4 = networkHeader + 12
		source6 = networkHeader + 8
	)
	mix := []bpf.Instruction{
		// Fibonacci hashing: neighbouring addresses spread over the sockets.
		bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: 2654435761},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 16},
		bpf.ALUOpConstant{Op: bpf.ALUOpMod, Val: sockets},
		bpf.RetA{},
	}
	six := []bpf.Instruction{bpf.LoadAbsolute{Off: source6, Size: 4}}
	for word := uint32(1); word < 4; word++ {
		six = append(six,
			bpf.TAX{},
			bpf.LoadAbsolute{Off: source6 + 4*word, Size: 4},
			bpf.ALUOpX{Op: bpf.ALUOpXor},
		)
	}
	program := []bpf.Instruction{
		bpf.LoadAbsolute{Off: networkHeader, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 6, SkipFalse: uint8(len(six) + len(mix))},
	}
	program = append(program, six...)
	program = append(program, mix...)
	program = append(program, bpf.LoadAbsolute{Off: source4, Size: 4})
	return append(program, mix...)
}
