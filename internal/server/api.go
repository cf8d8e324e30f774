package server

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

const (
	apiVersion    = "1.0.0"
	schemaPrefix  = "#/components/schemas/"
	tokenSecurity = "token"
)

// newAPI sets huma up without its own documents, formats and links: the
// documents are made in [Server.documents].
func newAPI(mux *http.ServeMux, transform huma.Transformer) huma.API {
	schemas := huma.NewMapRegistry(schemaPrefix, huma.DefaultSchemaNamer)
	schemas.RegisterTypeAlias(reflect.TypeFor[mesh.Duration](), reflect.TypeFor[durationSchema]())
	return humago.New(mux, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Heddle", Version: apiVersion,
				Description: "Declare services and what they call; register their instances; watch the mesh. Reading needs no token, access tokens and the audit aside, unless the server is told otherwise; writing needs one. In a body, null means that a field is left out.",
				License:     &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Servers: []*huma.Server{{URL: "/"}},
			Tags: []*huma.Tag{
				{Name: "services", Description: "What owners declare."},
				{Name: "instances", Description: "The running copies of services, each with a lease."},
				{Name: "machines", Description: "Virtual machines that sources of discovery find."},
				{Name: "routes", Description: "Services exposed on gateways."},
				{Name: "runtime", Description: "Envoy runtime keys of every proxy."},
				{Name: "status", Description: "How the mesh is, and its changes as they happen."},
				{Name: "answers", Description: "Why a call arrives or does not, and what follows from a change."},
				{Name: "traffic", Description: "What was seen of calls."},
				{Name: "tokens", Description: "Who may write, and who may join."},
				{Name: "identities", Description: "Certificates of workloads."},
				{Name: "approvals", Description: "Callers that a service's owner lets in."},
				{Name: "audit", Description: "Who changed what."},
				{Name: "health", Description: "For whoever runs the server."},
			},
			Components: &huma.Components{
				Schemas: schemas,
				SecuritySchemes: map[string]*huma.SecurityScheme{
					tokenSecurity: {Type: "http", Scheme: "bearer", Description: "An access token. The server prints the first one when it first starts; POST /api/v1/tokens makes more."},
				},
			},
		},
		Formats:       map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{transform, ourProblems},
	})
}

// durationSchema describes [mesh.Duration], which cannot do it itself: the
// model imports nothing.
type durationSchema struct{}

// Schema is called by huma.
func (durationSchema) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Description: "A time span with its unit.", Examples: []any{"250ms", "1m30s"}}
}

// operation describes one endpoint.
type operation struct {
	method, path, tag string
	id, summary       string
	description       string
	status            int
	body              any    // a value of the body's type; nil: no body
	example           string // of the body, as JSON
	refusals          []int  // statuses, beside those that follow from the rest
	token             bool   // needs one
}

// register adds an endpoint. handle's errors are turned into problems.
func register[I, O any](s *Server, o operation, handle func(context.Context, *I) (*O, error)) {
	op := huma.Operation{
		Method: o.method, Path: o.path, Tags: []string{o.tag}, OperationID: o.id,
		Summary: o.summary, Description: o.description, DefaultStatus: o.status,
		Responses: map[string]*huma.Response{}, SkipValidateParams: true,
	}
	refusals := append([]int{http.StatusMisdirectedRequest, http.StatusUnprocessableEntity, http.StatusInternalServerError, http.StatusServiceUnavailable}, o.refusals...)
	if o.token {
		op.Security = []map[string][]string{{tokenSecurity: {}}}
		refusals = append(refusals, http.StatusUnauthorized, http.StatusForbidden)
	}
	if o.body != nil {
		refusals = append(refusals, http.StatusBadRequest, http.StatusRequestEntityTooLarge)
	}
	schemas := s.api.OpenAPI().Components.Schemas
	problems := &huma.MediaType{Schema: schemas.Schema(reflect.TypeFor[refusal](), true, "")}
	for _, status := range refusals {
		op.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: http.StatusText(status), Content: map[string]*huma.MediaType{problemType: problems},
		}
	}
	s.operations[o.method+" "+o.path] = o.id
	known := map[string]bool{}
	op.Middlewares = huma.Middlewares{s.onlyKnownParameters(known)}
	if s.cfg.RequireReadToken && !o.token && o.tag != "health" {
		op.Middlewares = huma.Middlewares{s.onlyReaders, s.onlyKnownParameters(known)}
	}
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			err = s.refuse(err)
			if called, is := any(in).(interface{ called() *Call }); is && o.token {
				s.auditRefused(ctx, o, called.called(), err)
			}
			return nil, err
		}
		return out, nil
	})
	for _, parameter := range s.documented(o).Parameters {
		known[parameter.In+"."+parameter.Name] = true
	}
	if o.body != nil { // only now: huma would read and check a body that it knows of
		s.documented(o).RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/json": {Schema: bodySchema(schemas, o.body), Example: json.RawMessage(o.example)},
		}}
	}
}

// onlyKnownParameters refuses query parameters that an operation does not have:
// a misspelt one would change what is done. known is read once requests come.
func (s *Server) onlyKnownParameters(known map[string]bool) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		url := ctx.URL()
		var faults mesh.Faults
		for _, name := range slices.Sorted(maps.Keys(url.Query())) {
			if !known["query."+name] {
				faults.Add("query."+shown(name), "is not a parameter here")
			}
		}
		if len(faults) > 0 {
			_, w := humago.Unwrap(ctx)
			p := newProblem(http.StatusUnprocessableEntity, "the request's parameters are wrong")
			p.Errors = faults
			writeProblem(w, p)
			return
		}
		next(ctx)
	}
}

// oneOf documents a body that has one of several types.
type oneOf []any

func bodySchema(schemas huma.Registry, body any) *huma.Schema {
	several, ok := body.(oneOf)
	if !ok {
		return schemas.Schema(reflect.TypeOf(body), true, "")
	}
	schema := &huma.Schema{}
	for _, one := range several {
		schema.OneOf = append(schema.OneOf, schemas.Schema(reflect.TypeOf(one), true, ""))
	}
	return schema
}

// documented finds an operation in the OpenAPI document.
func (s *Server) documented(o operation) *huma.Operation {
	item := s.api.OpenAPI().Paths[o.path]
	switch o.method {
	case http.MethodPut:
		return item.Put
	case http.MethodPost:
		return item.Post
	case http.MethodDelete:
		return item.Delete
	}
	return item.Get
}

// List is the answer of every list.
type List[T any] struct {
	Items    []T   `json:"items" nullable:"false"`
	Revision int64 `json:"revision,omitempty" doc:"The registry's revision that the list is of; events go on behind it with ?since=."`
}

// Listed answers with a list.
type Listed[T any] struct {
	Body List[T]
}

// Nothing is the answer to a deletion.
type Nothing struct{}

func listed[T any](items []T, revision int64) *Listed[T] {
	if items == nil {
		items = []T{}
	}
	return &Listed[T]{Body: List[T]{Items: items, Revision: revision}}
}
