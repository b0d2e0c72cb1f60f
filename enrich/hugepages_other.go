//go:build !linux

package enrich

// useHugePages does nothing: huge pages are asked for on Linux only.
func useHugePages[T any](_ []T) {}
