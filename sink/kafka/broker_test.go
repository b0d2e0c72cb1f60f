package kafka

import (
	"fmt"
	"testing"
	"time"

	"github.com/metranova/flow-collector/sink/kafka/kafkatest"
	"github.com/metranova/flow-collector/sink/spool"
)

// What goes in while the broker is killed, stays away for longer than the delivery timeout and is started again, twice,
// comes out once: whether it was on its way, waited in memory or on disk.
func TestBroker_killedUnderLoad(t *testing.T) {
	broker := kafkatest.Start(t)
	broker.CreateTopic(topic)
	p, _ := producer(t, Options{
		Brokers: []string{broker.Plaintext}, DeliveryTimeout: 2 * time.Second, QueueBytes: 4 << 20,
		Spool:       disk(t, spool.Options{}),
		Compression: "lz4",
	})
	const perSecond, seconds = 20_000, 20
	stop := make(chan struct{})
	sent := make(chan int)
	go func() {
		n := 0
		for ticker := time.NewTicker(10 * time.Millisecond); ; n += perSecond / 100 {
			select {
			case <-stop:
				sent <- n
				return
			case <-ticker.C:
				b := p.Batch()
				for i := range perSecond / 100 {
					b.Data = fmt.Appendf(b.Data, "%d, with as much text behind it as there is in the message of a flow",
						n+i)
					b.Ends = append(b.Ends, len(b.Data))
				}
				p.Enqueue(b)
			}
		}
	}()
	sleep := func(part int) { time.Sleep(seconds * time.Second * time.Duration(part) / 10) }
	sleep(1)
	broker.Kill()
	sleep(3)
	broker.Run()
	sleep(2)
	broker.Stop()
	sleep(2)
	broker.Run()
	sleep(2)
	close(stop)
	n := <-sent
	waitFor(t, "the spool to be empty", func() bool {
		s := p.Stats()
		return s.Queued.Messages == 0 &&
			s.Spool.Waiting.Rows == 0
	})
	if err := closeWithin(t, p, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	s := p.Stats()
	balance(t, s)
	if len(s.Lost) > 0 || s.Delivered.Messages != uint64(n) {
		t.Errorf("sent %d, delivered %d, lost %+v", n, s.Delivered.Messages, s.Lost)
	}
	times := make([]int, n)
	for _, line := range broker.Consume(t, topic, broker.Plaintext) {
		var i int
		if _, err := fmt.Sscanf(line, "|%d,", &i); err != nil || i >= n {
			t.Fatalf("%q: %v", line, err)
		}
		times[i]++
	}
	missing, twice := 0, 0
	for _, n := range times {
		switch {
		case n == 0:
			missing++
		case n > 1:
			twice++
		}
	}
	t.Logf("%d messages, %d of them by way of the disk, %d tried again; %d missing, %d twice", n, s.FromSpool.Messages,
		s.Retried.Messages, missing, twice)
	if missing > 0 || twice > 0 {
		t.Errorf("%d messages are missing, %d came twice", missing, twice)
	}
	if s.FromSpool.Messages == 0 {
		t.Error("nothing went by way of the disk: the broker was not away for long enough to show anything")
	}
}
