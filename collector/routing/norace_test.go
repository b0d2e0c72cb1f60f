//go:build !race

package routing

// raced says that the race detector is on, which makes large tests take minutes.
const raced = false
