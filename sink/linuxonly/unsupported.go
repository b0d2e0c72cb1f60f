//go:build !linux

package linuxonly

var _ = the_collector_runs_on_Linux_only
