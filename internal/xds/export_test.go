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

// Covering is the version in which endpoints are sent to a client that holds
// clusters which use them.
func Covering(endpoints *Resource, clusters ...*Resource) string {
	var sum version
	for _, one := range clusters {
		sum += one.version
	}
	return endpoints.covering(sum).Version
}
