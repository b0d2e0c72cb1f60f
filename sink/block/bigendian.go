//go:build mips || mips64 || ppc64 || s390x

package block

// See number.
var _ = the_collector_needs_a_little_endian_processor
