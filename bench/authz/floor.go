package main

import (
	"context"
	"fmt"
	"net"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
)

// floorCommand makes this program the floor's server: serve-floor plain|token.
const floorCommand = "serve-floor"

// tokenSize is that of an RS256 token for names as they are here, in bytes.
const tokenSize = 800

// floor says yes to everything.
type floor struct {
	authv3.UnimplementedAuthorizationServer
	answer *authv3.CheckResponse
}

func (f floor) Check(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	return f.answer, nil
}

// serveFloor serves until ctx ends, and prints its address first.
func serveFloor(ctx context.Context, withToken bool) error {
	ok := &authv3.OkHttpResponse{}
	if withToken {
		ok.Headers = []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: "x-heddle-token", Value: strings.Repeat("t", tokenSize)}}}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	authv3.RegisterAuthorizationServer(server, floor{answer: &authv3.CheckResponse{
		Status: &rpcstatus.Status{}, HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: ok},
	}})
	stop := context.AfterFunc(ctx, server.Stop)
	defer stop()
	if _, err := fmt.Println(listener.Addr()); err != nil {
		return err
	}
	return server.Serve(listener)
}
