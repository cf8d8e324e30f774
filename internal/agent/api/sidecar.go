package api

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/hosts/sidecar"
)

// sidecarRoutes are those of Sidecar's API, also below the root, where its older clients
// ask.
func (s *Server) sidecarRoutes(mux *http.ServeMux) {
	services := s.answer("services.json", func(state *hosts.State) any { return sidecar.ServicesOf(state) })
	state := s.answer("state", func(state *hosts.State) any { return sidecar.StateOf(state) })
	for _, root := range []string{"/api", ""} {
		mux.HandleFunc("GET "+root+"/services.json", services)
		mux.HandleFunc("GET "+root+"/state.json", state)
		mux.HandleFunc("GET "+root+"/watch", s.watchDocuments)
	}
	mux.HandleFunc("GET /api/services/{file}", s.oneService)
	mux.HandleFunc("POST /api/services/{id}/drain", s.drain)
	mux.HandleFunc("DELETE /api/services/{id}/drain", s.drain) // Heddle's own: it takes new requests again
}

// oneService answers with the copies of one service.
func (s *Server) oneService(w http.ResponseWriter, r *http.Request) {
	name, isJSON := strings.CutSuffix(r.PathValue("file"), ".json")
	if !isJSON {
		refuse(w, http.StatusNotFound, "Not Found - Invalid content type extension: ask for NAME.json")
		return
	}
	state := s.cfg.State()
	copies := sidecar.ByService(state)[name]
	if len(copies) == 0 {
		refuse(w, http.StatusNotFound, fmt.Sprintf("no instances of %s found", name))
		return
	}
	body, err := encode("one.json", sidecar.Services{Services: map[string][]*sidecar.Service{name: copies}, ClusterName: state.Fleet})
	if err != nil {
		s.cfg.Logger.Error("an answer could not be encoded", "answer", name, "error", err)
		refuse(w, http.StatusInternalServerError, "the agent could not encode its answer; its log says why")
		return
	}
	s.send(w, r, state, body)
}
