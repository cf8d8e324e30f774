package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Past is one state that an object had.
type Past struct {
	Revision int64     `json:"revision"`
	Time     time.Time `json:"time,omitzero"`
	Action   string    `json:"action,omitempty"` // as in the audit; "": not known
	Author   string    `json:"author,omitempty"`
	Source   string    `json:"source,omitempty"`
	Changed  []string  `json:"changed,omitempty"` // the fields that differ from the state before
	To       int64     `json:"to,omitempty"`      // of a rollback: the revision that it brought back
	Present  bool      `json:"present,omitempty"`
	Deleted  bool      `json:"deleted,omitempty"`
	Missing  string    `json:"missing,omitempty"` // why its content is not there
	// Object is the object as it was; given when one revision was asked for.
	Object json.RawMessage `json:"object,omitempty"`
}

// Kept names an object that has a history.
type Kept struct {
	Kind string // "services", "routes" or "runtime"
	Name string // "" for the runtime layer
}

func (k Kept) segments(last string) []string {
	if k.Kind == "runtime" {
		return api("runtime", last)
	}
	return api(k.Kind, k.Name, last)
}

// History gives the states that an object had, newest first, without their objects.
func (c *Client) History(ctx context.Context, of Kept) ([]Past, error) {
	var out page[Past]
	err := c.do(ctx, request{method: http.MethodGet, segments: of.segments("history")}, &out)
	return out.Items, err
}

// HistoryAt gives the state that an object had at a revision.
func (c *Client) HistoryAt(ctx context.Context, of Kept, revision int64) (Past, error) {
	var out page[Past]
	query := url.Values{"revision": {strconv.FormatInt(revision, 10)}}
	if err := c.do(ctx, request{method: http.MethodGet, segments: of.segments("history"), query: query}, &out); err != nil {
		return Past{}, err
	}
	if len(out.Items) != 1 {
		return Past{}, mesh.Unavailable(nil, "the history of %s: the server did not answer with the one revision %d", of.Kind, revision)
	}
	return out.Items[0], nil
}

// Rollback writes the content of an earlier revision anew, and gives the revision
// of that write. It replaces the revision over only; with 0 it is done only if nothing
// is there.
func (c *Client) Rollback(ctx context.Context, of Kept, to, over int64) (int64, error) {
	var out struct{ Meta mesh.Meta }
	body := map[string]int64{"to": to}
	err := c.do(ctx, request{method: http.MethodPost, segments: of.segments("rollback"), body: body, revision: over, create: over == 0}, &out)
	return out.Meta.Revision, err
}
