package sink

import "github.com/metranova/flow-collector/sink/spool"

// Reason is why rows were lost or put in quarantine. It is a label of metrics and a value of collector_loss.reason.
// Each sink has a list of its own.
type Reason string

// The reasons why rows are lost.
const (
	// QueueFull: they were the oldest waiting ones when memory ran out.
	QueueFull Reason = "queue_full"
	// Rejected: according to the server they do not fit or are malformed. TooLarge: they exceed what it allows.
	Rejected Reason = "rejected"
	TooLarge Reason = "too_large"
	// Unexplained: they failed repeatedly with an error of no known class. Some of them may be stored.
	Unexplained Reason = "unexplained"
	// Undelivered: they were tried until the delivery timeout, and there was no spool or it failed.
	Undelivered Reason = "undelivered"
	// Shutdown: they were not delivered before Close had to return, or they came later.
	Shutdown Reason = "shutdown"
	// SpoolFull: they were the oldest on disk when the spool was full. SpoolAge: they were on disk for too long.
	// SpoolDamaged: they could not be read back unchanged. These may be rows of an earlier run.
	SpoolFull    Reason = "spool_full"
	SpoolAge     Reason = "spool_age"
	SpoolDamaged Reason = "spool_damaged"
)

// LostOnDisk returns what a spool lost, by reason; nothing where the count is 0.
func LostOnDisk(s *spool.Stats) map[Reason]spool.Count {
	lost := map[Reason]spool.Count{}
	for reason, count := range map[Reason]spool.Count{
		SpoolFull: s.DroppedFull, SpoolAge: s.DroppedAge, SpoolDamaged: s.Unreadable,
	} {
		if count.Entries > 0 {
			lost[reason] = count
		}
	}
	return lost
}

// Class says what to do after a failed delivery.
type Class int

const (
	// Retryable failures are temporary: the network, a restart, an election, memory.
	Retryable Class = iota
	// Permanent failures would be repeated with the same data: it is too large, malformed or does not fit the table.
	Permanent
	// Configuration failures last until somebody changes something: a missing table or topic, credentials, rights,
	// certificates.
	Configuration
	// Unknown failures have error codes that no list has. They are retried like Retryable ones.
	Unknown
)

// String returns the class's name.
func (c Class) String() string {
	switch c {
	case Retryable:
		return "retryable"
	case Permanent:
		return "permanent"
	case Configuration:
		return "configuration"
	}
	return "unknown"
}
