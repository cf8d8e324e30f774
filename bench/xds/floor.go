package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
)

// floorCommand makes this program the floor's server.
const floorCommand = "serve-floor"

// floor is the least that an xDS server can do: it answers each subscription
// with bytes that it encoded when it started, and sends a change to every
// stream without asking who wants it.
type floor struct {
	first   map[string][]byte    // by type URL: everything
	changed map[string][2][]byte // by service: its endpoints, in both states

	mu      sync.Mutex // guards streams
	streams map[chan []byte]struct{}
}

// serveFloor serves until its standard input ends. It is told of changes there,
// and answers each with the moment at which it began to send.
func serveFloor(ctx context.Context, path string) error {
	f, err := newFloor(path)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(raw{}), grpc.UnknownServiceHandler(f.serve))
	go func() { _ = server.Serve(listener) }() // ends with this process
	defer server.Stop()
	if _, err := fmt.Printf("{\"address\":%q}\n", listener.Addr()); err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var one command
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			return err
		}
		at := time.Now()
		f.change(one)
		if _, err := fmt.Printf("{\"at\":%d}\n", at.UnixNano()); err != nil {
			return err
		}
	}
	return lines.Err()
}

func newFloor(path string) (*floor, error) {
	all, err := readFiles(path)
	if err != nil {
		return nil, err
	}
	f := &floor{first: map[string][]byte{}, changed: map[string][2][]byte{}, streams: map[chan []byte]struct{}{}}
	byType := map[string][]encoded{}
	for _, r := range all.Resources {
		byType[r.Type] = append(byType[r.Type], r)
		if drained, is := all.Drained[r.Name]; is && r.Type == typeEndpoint {
			other := r
			other.Body = drained
			f.changed[r.Name] = [2][]byte{encodeResponse(r.Type, "2", []encoded{r}), encodeResponse(r.Type, "2", []encoded{other})}
		}
	}
	for typeURL, resources := range byType {
		f.first[typeURL] = encodeResponse(typeURL, "1", resources)
	}
	return f, nil
}

func (f *floor) change(c command) {
	body := f.changed[c.Service][0]
	if c.Drained {
		body = f.changed[c.Service][1]
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for one := range f.streams {
		one <- body
	}
}

// serve sends in the stream's handler and receives in a second goroutine.
func (f *floor) serve(_ any, stream grpc.ServerStream) error {
	if method, _ := grpc.MethodFromServerStream(stream); !strings.HasSuffix(deltaMethod, method) {
		return fmt.Errorf("the floor does not serve %s", method)
	}
	out := make(chan []byte, 16)
	f.mu.Lock()
	f.streams[out] = struct{}{}
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.streams, out)
	}()
	go func() { // ends with the stream
		var asked request
		for {
			err := stream.RecvMsg(func(b []byte) (err error) {
				asked, err = decodeRequest(b)
				return err
			})
			if err != nil {
				return
			}
			if asked.nonce == "" {
				select {
				case out <- f.first[asked.typeURL]:
				case <-stream.Context().Done():
				}
			}
		}
	}()
	for {
		select {
		case body := <-out:
			if err := stream.SendMsg(body); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return nil
		}
	}
}
