package server

import (
	"net/http"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// TellConcerns has the server tell what is wrong with the sources in its settings. It is
// called before the server serves.
func (s *Server) TellConcerns(concerns func() []mesh.DiscoveryConcern) { s.concerns = concerns }

// HandleSourceEvents has a cloud tell of changes of its machines, by sources of discovery.
// Each handler lets in whom it knows: clouds have no tokens of the mesh. It is called
// before the server serves.
func (s *Server) HandleSourceEvents(of map[string]http.Handler) {
	if len(of) == 0 {
		return
	}
	for _, method := range []string{http.MethodPost, http.MethodOptions} {
		pattern := method + " /api/v1/discovery/{source}/events"
		s.operations[pattern] = "source-events"
		s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			handler := of[r.PathValue("source")]
			if handler == nil {
				writeProblem(w, notFound(r, "no source of discovery of this name has events in its settings"))
				return
			}
			handler.ServeHTTP(w, r)
		})
	}
}
