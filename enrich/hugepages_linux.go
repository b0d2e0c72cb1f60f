package enrich

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePage is the size of a huge page on amd64 and arm64, in bytes.
const hugePage = 2 << 20

// useHugePages asks the kernel to back a slice with huge pages. Look-ups hit random places of large tables: with small
// pages nearly each would miss the TLB. If the kernel has no huge pages, or they are disabled, small ones stay.
func useHugePages[T any](s []T) {
	start := unsafe.Pointer(unsafe.SliceData(s))
	size := uintptr(len(s)) * unsafe.Sizeof(*new(T))
	skip := -uintptr(start) & (hugePage - 1)
	if size < skip+hugePage {
		return
	}
	whole := unsafe.Slice((*byte)(unsafe.Add(start, skip)), (size-skip)&^(hugePage-1))
	if unix.Madvise(whole, unix.MADV_HUGEPAGE) == nil {
		_ = unix.Madvise(whole, unix.MADV_COLLAPSE) // at once if the kernel can (Linux 6.1), else in the background
	}
}
