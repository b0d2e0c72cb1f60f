// Package linuxonly is imported by all packages that need Linux: sockets of many datagrams at once, memory that is
// given to the kernel's care, confined processes. On other systems it does not compile, and says so in one line, so
// that nobody has to guess from missing system calls. amd64 and arm64 are tested.
package linuxonly
