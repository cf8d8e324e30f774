package xds

// A delta client that was sent a cluster is owed the endpoints behind it. If its
// stream ends before it has them, what it says on the next stream may not tell:
// a cluster that changed to and fro is in the version that its old endpoints
// cover (see cover.go). So the server remembers for each node what it is owed,
// until it comes back. Another replica does not know: there only a cluster that
// changed to and fro over two lost streams can be without its endpoints, until
// either changes.

// maxOwedNodes bounds how many nodes are remembered.
const maxOwedNodes = 10_000

// giveUp ends the wait for clusters whose endpoints took too long. They are still
// owed.
func (s *session) giveUp(w *warming) {
	if !s.delta {
		return
	}
	for id := range w.awaited() {
		s.owe(id, w.nonce)
	}
}

func (s *session) owe(endpoints name, cluster uint64) {
	if s.owed == nil {
		s.owed = map[name]uint64{}
	}
	s.owed[endpoints] = cluster
}

// allOwed gives the endpoints that the client has not acknowledged behind their
// clusters.
func (s *session) allOwed() map[name]uint64 {
	for _, w := range s.warming {
		s.giveUp(w)
	}
	return s.owed
}

// paid takes in that endpoints were acknowledged.
func (s *session) paid(f flight) {
	for _, one := range f.items {
		if len(s.owed) == 0 {
			s.owed = nil // a map keeps the room that it once took
			return
		}
		if cluster, ok := s.owed[one.id]; ok && cluster < f.nonce {
			delete(s.owed, one.id)
		}
	}
}

// awaited are the endpoints that are sent also to a client that says that it has
// them.
func (s *session) awaited() map[name]bool {
	names := make(map[name]bool, len(s.owed))
	for id := range s.owed {
		names[id] = true
	}
	for _, w := range s.warming {
		for id := range w.awaited() {
			names[id] = true
		}
	}
	return names
}

// remember keeps what a node is owed when its stream ends.
func (s *Server) remember(node string, owed map[name]uint64) {
	if len(owed) == 0 {
		return
	}
	for id := range owed {
		owed[id] = 0 // it has been sent nothing on the next stream
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.owed) >= maxOwedNodes {
		for other := range s.owed {
			delete(s.owed, other)
			break
		}
	}
	s.owed[node] = owed
}

// recall gives what a node is owed from its last stream, once.
func (s *Server) recall(node string) map[name]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	owed := s.owed[node]
	delete(s.owed, node)
	return owed
}
