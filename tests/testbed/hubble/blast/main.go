// Command blast is an agent for benchmarks: it serves ready flows as fast as grpc-go can, as real agents do.
//
//	blast FILE [RATE]    FILE holds GetFlowsResponse messages, each after its length as a uvarint
//
// It prints its address. A followed stream runs at RATE flows a second; any other gives all flows once.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	peerpb "github.com/cilium/cilium/api/v1/peer"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

type observer struct {
	observerpb.UnimplementedObserverServer
	flows []*observerpb.GetFlowsResponse
	rate  int
}

func (o *observer) GetFlows(request *observerpb.GetFlowsRequest, stream observerpb.Observer_GetFlowsServer) error {
	if !request.GetFollow() {
		flows := o.flows
		if n := int(request.GetNumber()); n > 0 && n < len(flows) {
			flows = flows[len(flows)-n:]
		}
		for _, flow := range flows {
			if err := stream.Send(flow); err != nil {
				return err
			}
		}
		return nil
	}
	started, sent := time.Now(), 0
	for stream.Context().Err() == nil {
		for due := int(time.Since(started).Seconds() * float64(o.rate)); sent < due; sent++ {
			if err := stream.Send(o.flows[sent%len(o.flows)]); err != nil {
				return err
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	return stream.Context().Err()
}

func (o *observer) ServerStatus(context.Context, *observerpb.ServerStatusRequest) (*observerpb.ServerStatusResponse, error) {
	count := uint64(len(o.flows))
	return &observerpb.ServerStatusResponse{NumFlows: count, MaxFlows: count + 1, UptimeNs: uint64(time.Hour), Version: "cilium v1.19.3"}, nil
}

type peer struct {
	peerpb.UnimplementedPeerServer
	address string
}

func (p *peer) Notify(_ *peerpb.NotifyRequest, stream peerpb.Peer_NotifyServer) error {
	node := &peerpb.ChangeNotification{Name: "node-1", Address: p.address, Type: peerpb.ChangeNotificationType_PEER_ADDED}
	if err := stream.Send(node); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

func load(name string) ([]*observerpb.GetFlowsResponse, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	in := bufio.NewReaderSize(file, 1<<20)
	var flows []*observerpb.GetFlowsResponse
	for {
		size, err := binary.ReadUvarint(in)
		if errors.Is(err, io.EOF) {
			return flows, nil
		}
		if err != nil {
			return nil, err
		}
		raw := make([]byte, size)
		if _, err := io.ReadFull(in, raw); err != nil {
			return nil, err
		}
		flow := &observerpb.GetFlowsResponse{}
		if err := proto.Unmarshal(raw, flow); err != nil {
			return nil, err
		}
		flows = append(flows, flow)
	}
}

func run() error {
	flows, err := load(os.Args[1])
	if err != nil {
		return err
	}
	rate := 8000
	if len(os.Args) > 2 {
		if rate, err = strconv.Atoi(os.Args[2]); err != nil {
			return err
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	observerpb.RegisterObserverServer(server, &observer{flows: flows, rate: rate})
	peerpb.RegisterPeerServer(server, &peer{address: listener.Addr().String()})
	fmt.Println(listener.Addr())
	return server.Serve(listener)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
