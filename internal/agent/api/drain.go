package api

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// drain has copies on this host get no new requests; DELETE has them get them again.
func (s *Server) drain(w http.ResponseWriter, r *http.Request) {
	if status, message := s.mayWrite(r); status != 0 {
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Bearer realm="heddle"`)
		}
		refuse(w, status, message)
		return
	}
	id, drained, said := r.PathValue("id"), r.Method == http.MethodPost, "DRAINING"
	if !drained {
		said = "be served again"
	}
	copies, err := s.cfg.Drain(id, drained)
	switch {
	case mesh.KindOf(err) == mesh.KindNotFound:
		refuse(w, http.StatusNotFound, fmt.Sprintf("Not Found - Service ID %q not found%s", id, s.elsewhere(id)))
		return
	case err != nil:
		s.cfg.Logger.Error("a service could not be drained", "id", id, "error", err)
		refuse(w, http.StatusInternalServerError, "the agent could not tell the other hosts; its log says why")
		return
	}
	var messages []string
	for _, one := range copies {
		messages = append(messages, fmt.Sprintf("Service %q instance %q set to %s", one.Name, one.ID, said))
	}
	s.cfg.Logger.Info("a service was drained, or is served again", "id", id, "drained", drained, "client", r.RemoteAddr)
	body, err := json.MarshalIndent(Message{Message: strings.Join(messages, "; ")}, "", "  ")
	if err != nil { // of a string
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write(body) // a client that left is no error of ours
}

// Message is what a write is answered with.
type Message struct{ Message string }

// elsewhere says which hosts run what this one does not.
func (s *Server) elsewhere(id string) string {
	var names []string
	for _, h := range s.cfg.State().Hosts {
		for _, one := range h.Services {
			if one.ID == id && h.Status == hosts.Alive {
				names = append(names, h.Name)
			}
		}
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf(" on this host: ask the agent of %s, which runs it", strings.Join(names, " or "))
}

const minToken = 16 // characters

// CheckTokens says what is wrong with a file of tokens.
func CheckTokens(body []byte) error {
	number, tokens := 0, 0
	for line := range bytes.Lines(body) {
		number++
		switch line = bytes.TrimSpace(line); {
		case len(line) == 0:
		case len(line) < minToken:
			return fmt.Errorf("line %d: a token has %d characters or more, and this one has %d: make one with openssl rand -hex 16", number, minToken, len(line))
		default:
			tokens++
		}
	}
	if tokens == 0 {
		return fmt.Errorf("there is no token in it: put one of %d characters or more on a line, such as openssl rand -hex 16 makes", minToken)
	}
	return nil
}

// mayWrite says why a request may not write; 0: it may.
func (s *Server) mayWrite(r *http.Request) (status int, message string) {
	if s.cfg.Tokens == nil {
		return http.StatusForbidden, "writes are refused: start the agent with --api-token-file FILE, and send what is in it as \"Authorization: Bearer TOKEN\""
	}
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return http.StatusUnauthorized, "a write needs a token: send the header \"Authorization: Bearer TOKEN\" with one of --api-token-file"
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return http.StatusUnauthorized, "the Authorization header is not of the form \"Bearer TOKEN\""
	}
	// Hashes have one length, so that the time of comparing says nothing of the tokens.
	given, known := sha256.Sum256([]byte(token)), 0
	for line := range bytes.Lines(s.cfg.Tokens()) {
		if line = bytes.TrimSpace(line); len(line) >= minToken {
			sum := sha256.Sum256(line)
			known |= subtle.ConstantTimeCompare(given[:], sum[:])
		}
	}
	if known != 1 {
		return http.StatusUnauthorized, "the token is not known: it is none of the agent's --api-token-file"
	}
	return 0, ""
}
