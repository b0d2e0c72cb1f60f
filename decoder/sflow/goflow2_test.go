package sflow

import (
	"bytes"
	"fmt"

	goflow "github.com/netsampler/goflow2/v2/decoders/sflow"
	"github.com/netsampler/goflow2/v2/producer"
	protoproducer "github.com/netsampler/goflow2/v2/producer/proto"
)

// goflowMessages is what goflow2 makes of a datagram's flow samples.
func goflowMessages(payload []byte) ([]producer.ProducerMessage, error) {
	var packet goflow.Packet
	if err := goflow.DecodeMessageVersion(bytes.NewBuffer(payload), &packet); err != nil {
		return nil, fmt.Errorf("goflow2 decoding the datagram: %w", err)
	}
	messages, err := protoproducer.ProcessMessageSFlowConfig(&packet, nil)
	if err != nil {
		return nil, fmt.Errorf("goflow2 reading the samples: %w", err)
	}
	return messages, nil
}
