package registry

import (
	"context"
	"sync"
)

// chores is what writes leave to be done, such as dropping what is too old: no
// write waits for it. [Store.Close] ends it, and waits.
type chores struct {
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool // guarded by mu: nothing begins any more
}

func (c *chores) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
}

// later does something behind a write; its context ends with the connection.
func (s *Store) later(chore func(context.Context)) {
	s.chores.mu.Lock()
	defer s.chores.mu.Unlock()
	if !s.chores.closed {
		s.chores.running.Go(func() { chore(s.client.Ctx()) })
	}
}
