package inventory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// fileTime bounds the reading of a file: one on a network drive may hang for good.
const fileTime = 30 * time.Second

// reader reads files without hanging for longer than it is waited for. What hangs in the
// kernel cannot be ended: it is left behind, and nothing else is read until it has.
type reader struct {
	busy chan struct{} // capacity one: a read is under way
}

func newReader() *reader { return &reader{busy: make(chan struct{}, 1)} }

// read gives what is in a regular file, but no more than most bytes.
func (r *reader) read(ctx context.Context, path string, most int64) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, fileTime, fmt.Errorf("open or read %s: it hangs, for %s by now: is it on a drive that is away?", path, fileTime))
	defer cancel()
	select {
	case r.busy <- struct{}{}:
	default:
		return nil, fmt.Errorf("open %s: a read before still hangs: is it on a drive that is away?", path)
	}
	type content struct {
		data []byte
		err  error
	}
	done := make(chan content, 1)
	go func() {
		defer func() { <-r.busy }()
		data, err := readFile(path, most)
		done <- content{data, err}
	}()
	select {
	case got := <-done:
		return got.data, got.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func readFile(path string, most int64) ([]byte, error) {
	is, err := os.Stat(path) // before it is opened, which waits for a writer if it is a pipe
	if err != nil {
		return nil, err
	}
	if !is.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file, but %s", path, kind(is.Mode()))
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(file, most))
	return data, errors.Join(err, file.Close())
}

func kind(mode os.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode&os.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&os.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}
