// Package caida reads organizations and AS numbers: CAIDA's as-org2info file (JSON lines, plain or gzip), the PeeringDB
// dump (JSON) and the operator's additions, merged as the reference does it. It also finds the newest of the files that
// CAIDA publishes.
package caida
