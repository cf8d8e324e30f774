package grpcapi

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

const (
	maxPage = 500
	// maxResponse bounds the objects in one message, in bytes: with one object
	// more, which has 1 MiB at most, it stays below the 4 MiB that gRPC clients
	// take by default.
	maxResponse = 2 << 20
)

// page is one page of a list, as messages of type T.
type page[T proto.Message] struct {
	items    []T
	next     string // asks for the next page; "" on the last one
	revision int64  // that the first page was read at
}

// list gives the page behind token of what the view shows, by name.
func list[T proto.Message](ctx context.Context, a *API, v *view, size int32, token string, encode func(*mesh.Service) T) (page[T], error) {
	out, after, err := pageAt[T](v, size, token)
	if err != nil {
		return out, a.refusal(ctx, err, codes.Aborted)
	}
	if size == 0 || size > maxPage {
		size = maxPage
	}
	services, revision, err := a.registry.Services(ctx)
	if err != nil {
		return out, a.refusal(ctx, err, codes.Aborted)
	}
	if out.revision == 0 {
		out.revision = revision
	}
	bytes, last := 0, ""
	for i := range services {
		service := &services[i]
		if string(service.Name) <= after || !v.shows(service) {
			continue
		}
		if len(out.items) == int(size) || bytes > maxResponse {
			out.next = base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(out.revision, 10) + "/" + last))
			break
		}
		item := encode(service)
		out.items, last = append(out.items, item), string(service.Name)
		bytes += proto.Size(item)
	}
	return out, nil
}

// pageAt reads a page token: the first page's revision and the last name of the
// page before.
func pageAt[T proto.Message](v *view, size int32, token string) (out page[T], after string, err error) {
	var faults mesh.Faults
	if size < 0 {
		faults.Add("page_size", "is negative: use 1 to %d, or 0 for %d", maxPage, maxPage)
	}
	if token != "" {
		raw, decodeErr := base64.RawURLEncoding.DecodeString(token)
		revision, name, split := strings.Cut(string(raw), "/")
		out.revision, err = strconv.ParseInt(revision, 10, 64)
		if decodeErr != nil || !split || err != nil || out.revision <= 0 {
			faults.Add("page_token", "is not one that this API gave: send next_page_token as it was received")
		}
		after = name
	}
	return out, after, mesh.Invalid("list "+v.noun+"s", faults)
}
