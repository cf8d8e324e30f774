package insight

import (
	"sync"
	"time"
)

// Shared gives what proxies told of calls to all who ask: it is made once a second at
// most. What is given must not be changed.
type Shared struct {
	Make func() Observed // from memory: others wait for it
	Now  func() time.Time

	mu   sync.Mutex
	at   time.Time // guarded by mu; when seen was made; zero: it never was
	seen Observed  // guarded by mu
}

// Get gives it.
func (s *Shared) Get() Observed {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at.IsZero() || s.Now().Sub(s.at) >= time.Second {
		s.seen = s.Make()
		s.at = s.Now()
	}
	return s.seen
}
