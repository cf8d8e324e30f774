package server

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// OpenAPI gives the API's description as indented JSON, the content of
// api/openapi.json.
func (s *Server) OpenAPI() ([]byte, error) {
	data, err := json.Marshal(s.api.OpenAPI())
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, data, "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// documents completes the description and serves it.
func (s *Server) documents() error {
	description := s.api.OpenAPI()
	schemas := description.Components.Schemas.Map()
	delete(schemas, "ErrorModel") // huma's own; we answer with Problem
	delete(schemas, "ErrorDetail")
	if values := schemas["Runtime"].Properties["values"]; values != nil {
		values.AdditionalProperties = &huma.Schema{AnyOf: []*huma.Schema{{Type: huma.TypeNumber}, {Type: huma.TypeString}, {Type: huma.TypeBoolean}}}
	}
	document, err := s.OpenAPI()
	if err != nil {
		return err
	}
	s.mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(document)
	})
	return nil
}
