package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

const maxBody = 1 << 20 // bytes

// Call is the request itself, for what huma does not do: it reads the body only
// once the caller is known, and decodes it by [mesh.Decode].
type Call struct {
	request *http.Request
	writer  http.ResponseWriter

	by      registry.Token   // the caller, once it is known
	object  string           // what it wants to write, for the audit; "": as the path says
	service mesh.ServiceName // whose that is, if it is a service's
}

// expectBody bounds how long a request's body may take, also one that is never
// read: net/http reads what is left of it before it answers, without an end.
// Requests without a body have no such deadline: when it passed, net/http would
// take the client for gone, and a change stream would end.
func (s *Server) expectBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.cfg.BodyTimeout)) // a transport without deadlines has its own
	}
}

// Resolve is called by huma before the handler.
func (c *Call) Resolve(ctx huma.Context) []error {
	c.request, c.writer = humago.Unwrap(ctx)
	return nil
}

// Conditions are the headers of a conditional write.
type Conditions struct {
	IfMatch     string `header:"If-Match" pattern:"^(\"[0-9]+\"|\\*)$" doc:"The revision that is to be replaced, as the ETag gave it. A stale one is refused with 409. * means any, but there must be one." example:"\"42\""`
	IfNoneMatch string `header:"If-None-Match" enum:"*" doc:"* creates only: an object that exists is refused with 409."`
}

// Repeatable is the header of a write that may be sent twice.
type Repeatable struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"128" doc:"Names this write (X-Request-Id does too). Sent again within a day with the same content, it changes nothing and gets the first answer; with other content, 409." example:"deploy-7f3a"`
}

// Keeping is the header of a write by a keeper.
type Keeping struct {
	Keeper string `header:"X-Heddle-Keeper" doc:"Who keeps what is written, and alone changes it from then on: kubernetes/CLUSTER/NAMESPACE/NAME. For admins and tokens of that keeper." example:"kubernetes/prod/shop/orders"`
	SourceOfKeeper
}

// SourceOfKeeper is the header of a source that writes in a keeper's name.
type SourceOfKeeper struct {
	KeeperSource string `header:"X-Heddle-Keeper-Source" doc:"Which source writes in the keeper's name. If the keeper is not noted to belong to it (PUT /api/v1/keepers/kubernetes/{cluster}), the write is refused: 409 with reason other_source." example:"8f14e45f-ceea-467f-a2b1-3c1b6d1f9a10"`
}

// body reads the whole body, up to 1 MiB. Only then it takes off the deadline
// of [Server.expectBody].
func (c *Call) body() ([]byte, error) { return c.bodyUpTo(maxBody) }

func (c *Call) bodyUpTo(most int64) ([]byte, error) {
	data, err := io.ReadAll(http.MaxBytesReader(c.writer, c.request.Body, most))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, newProblem(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes (%d MiB)", most, most>>20))
	case err != nil:
		return nil, newProblem(http.StatusBadRequest, "the body could not be read to its end")
	}
	_ = http.NewResponseController(c.writer).SetReadDeadline(time.Time{}) // as above
	if !utf8.Valid(data) {
		return nil, newProblem(http.StatusBadRequest, "the body is not UTF-8")
	}
	return data, nil
}

// decode reads the body into into.
func (c *Call) decode(into any) error {
	data, err := c.body()
	if err != nil {
		return err
	}
	return decode(data, into)
}

// given says whether the body's object has the field, be it empty or null.
func given(data []byte, field string) bool {
	var object map[string]json.RawMessage
	if json.Unmarshal(data, &object) != nil {
		return false
	}
	_, is := object[field]
	return is
}

// decode tells what is no JSON at all (400) from JSON of the wrong shape (422).
func decode(data []byte, into any) error {
	err := mesh.Decode(data, into)
	var e *mesh.Error
	if errors.As(err, &e) && !json.Valid(data) {
		p := newProblem(http.StatusBadRequest, "the body is not valid JSON: "+e.Faults.String())
		return p
	}
	return err
}

// write says who writes and on which conditions.
func (c *Call) write(token registry.Token) (registry.Write, error) {
	w := registry.Write{Author: author(token), Source: "rest", From: c.request.RemoteAddr, By: token}
	const keeper = "X-Heddle-Keeper"
	if w.Keeper = mesh.Keeper(c.request.Header.Get(keeper)); w.Keeper != "" {
		if why := w.Keeper.Fault(); why != "" {
			return w, fault("header."+keeper, why)
		}
		w.Source = w.Keeper.Source()
		w.KeeperSource = c.request.Header.Get(keeper + "-Source")
	}
	name := "Idempotency-Key"
	w.RequestID = c.request.Header.Get(name)
	if w.RequestID == "" {
		name = "X-Request-Id"
		w.RequestID = c.request.Header.Get(name)
	}
	if len(w.RequestID) > 128 || strings.ContainsFunc(w.RequestID, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return w, fault("header."+name, "wants 1 to 128 characters of printable ASCII without spaces")
	}
	return w, nil
}

// conditional puts If-Match, If-None-Match and the body's own revision into w.
// present reads the object's revision, for "If-Match: *".
func (c *Call) conditional(ctx context.Context, w *registry.Write, inBody int64, present func(context.Context) (int64, error)) error {
	match, noneMatch := c.request.Header.Values("If-Match"), c.request.Header.Values("If-None-Match")
	if len(noneMatch) > 0 {
		if strings.Join(noneMatch, ",") != "*" {
			return fault("header.If-None-Match", "wants *: create, and do not replace")
		}
		if len(match) > 0 {
			return fault("header.If-None-Match", "contradicts If-Match: give only one of them")
		}
		w.Create = true
		return nil
	}
	if len(match) == 0 {
		if inBody < 0 {
			return fault("meta.revision", "is negative; leave it out to write whatever the revision")
		}
		w.Revision = inBody
		return nil
	}
	tag := strings.TrimSpace(strings.Join(match, ","))
	if tag == "*" {
		revision, err := present(ctx)
		w.Revision = revision
		return err
	}
	text, quotedRight := strings.CutPrefix(tag, `"`)
	text, closed := strings.CutSuffix(text, `"`)
	revision, err := strconv.ParseInt(text, 10, 64)
	if !quotedRight || !closed || err != nil || revision < 0 {
		return fault("header.If-Match", "wants one revision in quotes, as the ETag header gave it, such as \"42\", or *")
	}
	if inBody != 0 && inBody != revision {
		return fault("meta.revision", fmt.Sprintf("is %d, but the If-Match header says %d: give one of them, or make them equal", inBody, revision))
	}
	w.Revision = revision
	w.Create = revision == 0 // the ETag of what was never written
	return nil
}

func fault(path, message string) error {
	return mesh.Invalid("the request is wrong", mesh.Faults{{Path: path, Message: message}})
}

func etag(revision int64) string { return strconv.Quote(strconv.FormatInt(revision, 10)) }
