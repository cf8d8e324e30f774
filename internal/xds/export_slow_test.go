package xds

// Pending tells tests how many marks the fullest mailbox of all streams holds.
func (s *Server) Pending() (most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.streams {
		st.box.mu.Lock()
		pending := 0
		for _, of := range st.box.marks {
			pending += len(of.gone)
		}
		st.box.mu.Unlock()
		most = max(most, pending)
	}
	return most
}
