package kafka

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Read calls use for each message that is in the topic now and was produced at or after a time. It belongs to no
// consumer group, so that other readers are not affected. The message is valid during the call only.
func Read(ctx context.Context, o Options, from time.Time, use func(message []byte)) error {
	o = o.withDefaults()
	where := fmt.Sprintf("read topic %s of Kafka at %s", o.Topic, strings.Join(o.addresses(), ","))
	// a control record may be a partition's last record
	client, err := o.newClient(o.MaxBatchBytes, kgo.KeepControlRecords())
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	begin, err := admin.ListOffsetsAfterMilli(ctx, max(from.UnixMilli(), 0), o.Topic)
	if err == nil {
		err = begin.Error()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	end, err := admin.ListEndOffsets(ctx, o.Topic)
	if err == nil {
		err = end.Error()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	offsets, left := map[int32]kgo.Offset{}, map[int32]int64{} // where each partition begins, and where reading it ends
	end.Each(func(l kadm.ListedOffset) {
		first, found := begin.Lookup(o.Topic, l.Partition)
		if found && first.Offset >= 0 && first.Offset < l.Offset {
			offsets[l.Partition], left[l.Partition] = kgo.NewOffset().At(first.Offset), l.Offset
		}
	})
	if len(left) == 0 {
		return nil
	}
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{o.Topic: offsets})
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			for _, r := range p.Records {
				if end, reading := left[r.Partition]; reading && r.Offset < end && !r.Attrs.IsControl() {
					use(r.Value)
				}
				if r.Offset+1 >= left[r.Partition] {
					delete(left, r.Partition)
				}
			}
		})
	}
	return nil
}
