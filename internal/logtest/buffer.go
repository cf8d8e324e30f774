// Package logtest keeps what a program or a logger writes, for tests that read it meanwhile.
package logtest

import (
	"bytes"
	"sync"
)

// Buffer may be written and read at once. Its zero value is empty.
type Buffer struct {
	mu   sync.Mutex
	data bytes.Buffer // guarded by mu
}

// Write adds to what is kept.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.Write(p)
}

// String is all that was written since the last Take.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.String()
}

// Take gives what String gives, and keeps none of it.
func (b *Buffer) Take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.data.Reset()
	return b.data.String()
}
