// Package caida reads organizations and AS numbers from CAIDA's as-org2info file (JSON lines, plain or gzip), the
// PeeringDB dump (JSON) and the operator's additions, and merges them in the same way as the reference stack. It also
// finds the newest files that CAIDA publishes.
package caida
