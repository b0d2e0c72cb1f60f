package enrich

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePage is the size of a huge page on amd64 and arm64, in bytes.
const hugePage = 2 << 20

// useHugePages asks the kernel for huge pages under a slice. Every look-up goes to another place of tables that are
// much larger than what the processor remembers the addresses of in small pages; without huge pages it would wait for
// these addresses too. A kernel that has none, or was told to have none, leaves the small ones.
func useHugePages[T any](s []T) {
	start := unsafe.Pointer(unsafe.SliceData(s))
	size := uintptr(len(s)) * unsafe.Sizeof(*new(T))
	skip := -uintptr(start) & (hugePage - 1)
	if size < skip+hugePage {
		return
	}
	whole := unsafe.Slice((*byte)(unsafe.Add(start, skip)), (size-skip)&^(hugePage-1))
	if unix.Madvise(whole, unix.MADV_HUGEPAGE) == nil {
		_ = unix.Madvise(whole, unix.MADV_COLLAPSE) // at once, where the kernel can (Linux 6.1); else some time
	}
}
