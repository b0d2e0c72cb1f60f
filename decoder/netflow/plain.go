package netflow

import (
	"encoding/binary"

	"github.com/metranova/flow-collector/decoder/flow"
)

// Most fields of most records are integers of their usual width, and addresses: to be stored as they are. A run handles
// them first, in a loop that is small enough to stay in registers. It takes half as long for a field as fill.

// A plainStep stores one such field.
type plainStep struct {
	op     plainOp
	offset uint16 // within its run
}

// A plainOp is an opcode with a width.
type plainOp uint8

const (
	notPlain plainOp = iota
	plainBytes32
	plainBytes64
	plainPackets32
	plainPackets64
	plainProtocol
	plainToS
	plainTCPFlags8
	plainTCPFlags16
	plainSrcPort
	plainDstPort
	plainSrcAddr4
	plainDstAddr4
	plainSrcAddr6
	plainDstAddr6
	plainSrcMask4
	plainSrcMask6
	plainDstMask4
	plainDstMask6
	plainInIf16
	plainInIf32
	plainOutIf16
	plainOutIf32
	plainSrcAS32
	plainDstAS32
	plainDirection
)

// plain returns what stores the field of a step; notPlain if that is left to fill.
func (s *step) plain() plainOp {
	type form struct {
		op     opcode
		length uint16
		arg    uint8
	}
	switch (form{s.op, s.length, s.arg}) {
	case form{opBytes, 4, 0}:
		return plainBytes32
	case form{opBytes, 8, 0}:
		return plainBytes64
	case form{opPackets, 4, 0}:
		return plainPackets32
	case form{opPackets, 8, 0}:
		return plainPackets64
	case form{opProtocol, 1, 0}:
		return plainProtocol
	case form{opToS, 1, 0}:
		return plainToS
	case form{opTCPFlags, 1, 0}:
		return plainTCPFlags8
	case form{opTCPFlags, 2, 0}:
		return plainTCPFlags16
	case form{opSrcPort, 2, 0}:
		return plainSrcPort
	case form{opDstPort, 2, 0}:
		return plainDstPort
	case form{opSrcAddr4, 4, 0}:
		return plainSrcAddr4
	case form{opDstAddr4, 4, 0}:
		return plainDstAddr4
	case form{opSrcAddr6, 16, 0}:
		return plainSrcAddr6
	case form{opDstAddr6, 16, 0}:
		return plainDstAddr6
	case form{opSrcMask, 1, 0}:
		return plainSrcMask4
	case form{opSrcMask, 1, v6Mask}:
		return plainSrcMask6
	case form{opDstMask, 1, 0}:
		return plainDstMask4
	case form{opDstMask, 1, v6Mask}:
		return plainDstMask6
	case form{opInIf, 2, 0}:
		return plainInIf16
	case form{opInIf, 4, 0}:
		return plainInIf32
	case form{opOutIf, 2, 0}:
		return plainOutIf16
	case form{opOutIf, 4, 0}:
		return plainOutIf32
	case form{opSrcAS, 4, 0}:
		return plainSrcAS32
	case form{opDstAS, 4, 0}:
		return plainDstAS32
	case form{opDirection, 1, 0}:
		return plainDirection
	}
	return notPlain
}

// fillPlain stores the values of plain steps. What it stores for each is what fill would.
func fillPlain(plan []plainStep, record []byte, r *flow.Record, w *raw) {
	for i := range plan {
		v := record[plan[i].offset:]
		switch plan[i].op {
		case plainBytes32:
			w.bytes = counter{uint64(binary.BigEndian.Uint32(v)), true, 4}
		case plainBytes64:
			w.bytes = counter{binary.BigEndian.Uint64(v), true, 8}
		case plainPackets32:
			w.packets = counter{uint64(binary.BigEndian.Uint32(v)), true, 4}
		case plainPackets64:
			w.packets = counter{binary.BigEndian.Uint64(v), true, 8}
		case plainProtocol:
			r.IPProtocol = v[0]
		case plainToS:
			r.ToS = v[0]
		case plainTCPFlags8:
			r.TCPFlags = uint16(v[0])
		case plainTCPFlags16:
			r.TCPFlags = binary.BigEndian.Uint16(v)
		case plainSrcPort:
			r.SrcPort = binary.BigEndian.Uint16(v)
		case plainDstPort:
			r.DstPort = binary.BigEndian.Uint16(v)
		case plainSrcAddr4:
			setAddr4(&w.src4, v)
		case plainDstAddr4:
			setAddr4(&w.dst4, v)
		case plainSrcAddr6:
			w.src6 = flow.Addr(v[:16])
		case plainDstAddr6:
			w.dst6 = flow.Addr(v[:16])
		case plainSrcMask4:
			w.mask4Src = v[0]
		case plainSrcMask6:
			w.mask6Src = v[0]
		case plainDstMask4:
			w.mask4Dst = v[0]
		case plainDstMask6:
			w.mask6Dst = v[0]
		case plainInIf16:
			r.InIf = uint32(binary.BigEndian.Uint16(v))
		case plainInIf32:
			r.InIf = binary.BigEndian.Uint32(v)
		case plainOutIf16:
			r.OutIf = uint32(binary.BigEndian.Uint16(v))
		case plainOutIf32:
			r.OutIf = binary.BigEndian.Uint32(v)
		case plainSrcAS32:
			r.SrcAS = binary.BigEndian.Uint32(v)
		case plainDstAS32:
			r.DstAS = binary.BigEndian.Uint32(v)
		case plainDirection:
			r.Direction = v[0]
		}
	}
}
