package xds

// Sizes tells tests how much the server's table holds, so that they can tell
// that nothing is left behind.
func (s *Server) Sizes() (entries, scopes int) {
	s.table.mu.RLock()
	defer s.table.mu.RUnlock()
	for _, of := range s.table.entries {
		entries += len(of)
	}
	return entries, len(s.table.scopes)
}
