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

// oweEndpoints notes that endpoints have to follow a cluster, which came in the latest
// response.
func (s *session) oweEndpoints(endpoints name) {
	if !s.delta || endpoints == noName {
		return
	}
	if s.owed == nil {
		s.owed = map[name]uint64{}
	}
	s.owed[endpoints] = s.nonce
}

// paid takes in that a response was acknowledged.
func (s *session) paid(k kind, f flight) {
	if k != kindEndpoint || len(s.owed) == 0 {
		return
	}
	for _, one := range f.items {
		if cluster, ok := s.owed[one.id]; ok && cluster < f.nonce {
			delete(s.owed, one.id)
		}
	}
	if len(s.owed) == 0 {
		s.owed = nil // a map keeps the room that it once took
	}
}

// owes says whether a name is sent also to a client that says that it has it.
func (s *session) owes(k kind, id name) bool {
	_, ok := s.owed[id]
	return ok && k == kindEndpoint
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
