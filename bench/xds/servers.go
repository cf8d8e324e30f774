package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/heddle-mesh/heddle/bench/measured"
)

// server is one of those that are compared.
type server interface {
	name() string
	address() string
	process() *measured.Process
	// change brings the endpoints of a service into the other of their two
	// states, and gives the moment at which the server could know.
	change(ctx context.Context, service string, drained bool) (time.Time, error)
	close()
}

// command tells a server that is not Heddle of a change: one line of JSON.
type command struct {
	Service string `json:"service"`
	Drained bool   `json:"drained"`
}

// told is a server that reads its changes from its standard input.
type told struct {
	title string
	at    string
	child *measured.Process
	in    io.WriteCloser
	out   *bufio.Scanner
}

// startTold starts a server that serves the files at path.
func startTold(ctx context.Context, title, dir, program string, args ...string) (server, error) {
	t := &told{title: title}
	c := exec.CommandContext(ctx, program, args...)
	var err error
	if t.in, err = c.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if t.child, err = measured.Start(c, filepath.Join(dir, filepath.Base(program)+".log")); err != nil {
		return nil, err
	}
	t.out = bufio.NewScanner(out)
	var hello struct {
		Address string `json:"address"`
	}
	if err := t.read(&hello); err != nil {
		t.close()
		return nil, err
	}
	t.at = hello.Address
	return t, nil
}

func (t *told) read(into any) error {
	if !t.out.Scan() {
		return fmt.Errorf("%s ended: %s", t.title, t.child.Said())
	}
	return json.Unmarshal(t.out.Bytes(), into)
}

func (t *told) name() string               { return t.title }
func (t *told) address() string            { return t.at }
func (t *told) process() *measured.Process { return t.child }

func (t *told) change(_ context.Context, service string, drained bool) (time.Time, error) {
	line, err := json.Marshal(command{Service: service, Drained: drained})
	if err != nil {
		return time.Time{}, err
	}
	if _, err := t.in.Write(append(line, '\n')); err != nil {
		return time.Time{}, fmt.Errorf("tell %s: %w", t.title, err)
	}
	var answer struct {
		At int64 `json:"at"`
	}
	err = t.read(&answer)
	return time.Unix(0, answer.At), err
}

func (t *told) close() {
	_ = t.in.Close()
	t.child.Stop()
}

// startServer starts one of the servers, with its files in a folder of its own.
func startServer(ctx context.Context, o options, title, dir string, w world, f string) (server, error) {
	dir = filepath.Join(dir, title)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	switch title {
	case "floor":
		program, err := os.Executable()
		if err != nil {
			return nil, err
		}
		return startTold(ctx, title, dir, program, floorCommand, f)
	case "heddle":
		return startHeddle(ctx, o, dir, w)
	default:
		return startTold(ctx, title, dir, o.peers, title, f)
	}
}
