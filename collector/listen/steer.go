package listen

import (
	"crypto/rand"
	"encoding/binary"
	"os"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Offsets for packet loads relative to the network header (linux/filter.h, SKF_NET_OFF).
const networkHeader = 0xfff00000

// steeringKey makes it unpredictable which sources share a worker. Otherwise anyone who can choose source addresses
// could send everything to one exporter's worker. The multipliers are odd.
type steeringKey struct {
	words      [4]uint32 // multipliers for the words of an IPv6 address
	mask       uint32
	multiplier [2]uint32
}

func newSteeringKey() steeringKey {
	number := func() uint32 {
		var b [4]byte
		rand.Read(b[:])
		return binary.NativeEndian.Uint32(b[:])
	}
	k := steeringKey{mask: number(), multiplier: [2]uint32{number() | 1, number() | 1}}
	for i := range k.words {
		k.words[i] = number() | 1
	}
	return k
}

// steer makes the kernel choose a socket of fd's SO_REUSEPORT group by the datagram's source address and the key alone,
// so that an exporter that sends from several ports reaches one worker. The group's sockets are numbered in the order
// in which they were bound.
func steer(fd, sockets int, key steeringKey) error {
	program, err := bpf.Assemble(steering(uint32(sockets), key))
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
func steering(sockets uint32, key steeringKey) []bpf.Instruction {
	const (
		source4 = networkHeader + 12
		source6 = networkHeader + 8
	)
	spread := mix(sockets, key)
	six := []bpf.Instruction{
		bpf.LoadAbsolute{Off: source6, Size: 4},
		bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: key.words[0]},
	}
	for word := uint32(1); word < 4; word++ {
		six = append(six,
			bpf.TAX{},
			bpf.LoadAbsolute{Off: source6 + 4*word, Size: 4},
			bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: key.words[word]},
			bpf.ALUOpX{Op: bpf.ALUOpAdd},
		)
	}
	program := []bpf.Instruction{
		bpf.LoadAbsolute{Off: networkHeader, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 6, SkipFalse: uint8(len(six) + len(spread))},
	}
	program = append(program, six...)
	program = append(program, spread...)
	program = append(program, bpf.LoadAbsolute{Off: source4, Size: 4})
	return append(program, spread...)
}

// mix turns the word in A into a number below sockets: two rounds of multiplication, with the upper bits folded onto
// the lower ones in between, so that neighbouring addresses spread for any key.
func mix(sockets uint32, key steeringKey) []bpf.Instruction {
	return []bpf.Instruction{
		bpf.ALUOpConstant{Op: bpf.ALUOpXor, Val: key.mask},
		bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: key.multiplier[0]},
		bpf.TAX{},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 15},
		bpf.ALUOpX{Op: bpf.ALUOpXor},
		bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: key.multiplier[1]},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 16},
		bpf.ALUOpConstant{Op: bpf.ALUOpMod, Val: sockets},
		bpf.RetA{},
	}
}
