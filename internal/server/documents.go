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

// documents completes the description and serves it, as JSON and for people.
func (s *Server) documents() error {
	description := s.api.OpenAPI()
	schemas := description.Components.Schemas.Map()
	delete(schemas, "ErrorModel") // huma's own; ours is Refusal
	delete(schemas, "ErrorDetail")
	for _, schema := range schemas {
		delete(schema.Properties, "$schema")
	}
	if values := schemas["Runtime"].Properties["values"]; values != nil {
		values.AdditionalProperties = &huma.Schema{AnyOf: []*huma.Schema{{Type: huma.TypeNumber}, {Type: huma.TypeString}, {Type: huma.TypeBoolean}}}
	}
	document, err := s.OpenAPI()
	if err != nil {
		return err
	}
	page, err := docsPage(description)
	if err != nil {
		return err
	}
	s.serve("GET /openapi.json", "application/json", document)
	s.serve("GET /docs", "text/html; charset=utf-8", page)
	s.serve("GET /docs/style.css", "text/css; charset=utf-8", docsStyle)
	s.mux.Handle("GET /docs/{$}", http.RedirectHandler("/docs", http.StatusMovedPermanently))
	return nil
}

// uiRoot is where the pages for people begin.
const uiRoot = "/ui/"

// pages serves them, and sends whoever names no path there, or to the reference.
func (s *Server) pages() {
	home := "/docs"
	if s.cfg.UI != nil {
		home = uiRoot
		s.operations[uiRoot] = "pages"
		s.mux.Handle(uiRoot, s.cfg.UI)
		s.mux.Handle("GET /ui", http.RedirectHandler(uiRoot, http.StatusMovedPermanently))
	}
	s.mux.Handle("GET /{$}", http.RedirectHandler(home, http.StatusFound))
}

// serve answers with something that never changes. A page of ours loads nothing
// but its own style, runs nothing, and is put into no frame.
func (s *Server) serve(pattern, contentType string, content []byte) {
	s.operations[pattern] = "documents"
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
		header := w.Header()
		header.Set("Content-Type", contentType)
		header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cache-Control", "no-cache")
		_, _ = w.Write(content) // a client that left is no error of ours
	})
}
