package demo

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	heddlev1 "github.com/heddle-mesh/heddle/api/heddle/v1"
	"github.com/heddle-mesh/heddle/internal/demo/shop"
	"github.com/heddle-mesh/heddle/internal/demo/stage"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// partner is the outside upstream's name in the mesh.
const partner = "partner"

// upstream: a server outside the mesh is added through the gRPC API, called,
// moved to another address, and removed.
func (s *scenario) upstream(ctx context.Context) (stage.Finding, error) {
	first, err := openOutside(partner, "outside-1")
	if err != nil {
		return stage.Finding{}, err
	}
	defer first.close(ctx)
	second, err := openOutside(partner, "outside-2")
	if err != nil {
		return stage.Finding{}, err
	}
	defer second.close(ctx)
	api, err := s.openAPI()
	if err != nil {
		return stage.Finding{}, err
	}
	defer api.conn.Close()

	figures := map[string]float64{}
	if figures["callableMs"], err = s.addUpstream(ctx, api, first); err != nil {
		return stage.Finding{Figures: figures}, fmt.Errorf("add: %w", err)
	}
	if figures["changedMs"], err = s.moveUpstream(ctx, api, second); err != nil {
		return stage.Finding{Figures: figures}, fmt.Errorf("change: %w", err)
	}
	if figures["removedMs"], err = s.removeUpstream(ctx, api); err != nil {
		return stage.Finding{Figures: figures}, fmt.Errorf("remove: %w", err)
	}
	return stage.Finding{
		Detail: fmt.Sprintf("added through the gRPC API and declared by web: callable after %.1f ms; moved to another address after %.1f ms; once removed, callers get a clear 503",
			figures["callableMs"], figures["changedMs"]), Figures: figures,
	}, nil
}

// addUpstream adds it, twice with one request id as a client does that missed
// the first answer, and has web declare and call it.
func (s *scenario) addUpstream(ctx context.Context, api *upstreamAPI, at *outside) (took float64, err error) {
	request := &heddlev1.CreateUpstreamRequest{Upstream: upstreamAt(at), RequestId: uuid.NewString()}
	created, err := api.client.CreateUpstream(api.authorize(ctx), request)
	if err != nil {
		return 0, err
	}
	again, err := api.client.CreateUpstream(api.authorize(ctx), request)
	if err != nil {
		return 0, fmt.Errorf("the same request again: %w", err)
	}
	if one, two := created.GetUpstream().GetMeta().GetRevision(), again.GetUpstream().GetMeta().GetRevision(); one != two {
		return 0, fmt.Errorf("the same request again wrote again: revision %d, then %d", one, two)
	}
	declared, err := s.redeclare(ctx, shop.Web, func(web *mesh.Service) { web.Dependencies = append(web.Dependencies, partner) })
	if err != nil {
		return 0, err
	}
	longest, err := s.becomes(ctx, declared, partner, undeclared)
	if err != nil {
		return 0, err
	}
	return stage.MS(longest), s.callEach(ctx, partner, 20)
}

// moveUpstream changes its address. Calls go on meanwhile, and none may fail.
func (s *scenario) moveUpstream(ctx context.Context, api *upstreamAPI, to *outside) (took float64, err error) {
	request := &heddlev1.UpdateUpstreamRequest{Upstream: upstreamAt(to), RequestId: uuid.NewString()}
	if _, err := api.client.UpdateUpstream(api.authorize(ctx), request); err != nil {
		return 0, err
	}
	changed := time.Now()
	err = s.eachFront(func(f *front) error {
		return stage.PollEach(ctx, time.Millisecond, settleTime, "calls through "+f.id+" to go to the new address", func(ctx context.Context) error {
			answer, err := s.load.call(ctx, f, partner)
			if err == nil && answer.Instance != to.name {
				err = fmt.Errorf("%s answers", answer.Instance)
			}
			return err
		})
	})
	return stage.MS(time.Since(changed)), err
}

// removeUpstream removes it, which takes force while web declares it: web is then
// told that it is pending, and once it has taken its declaration back, that it is
// not declared.
func (s *scenario) removeUpstream(ctx context.Context, api *upstreamAPI) (took float64, err error) {
	request := &heddlev1.DeleteUpstreamRequest{Name: partner, RequestId: uuid.NewString()}
	if _, err := api.client.DeleteUpstream(api.authorize(ctx), request); status.Code(err) != codes.FailedPrecondition {
		return 0, fmt.Errorf("web declares it, and its deletion without force was answered with %s", status.Code(err))
	}
	request.Force = true
	if _, err := api.client.DeleteUpstream(api.authorize(ctx), request); err != nil {
		return 0, err
	}
	removed := time.Now()
	if err := s.becomesRefused(ctx, http.StatusServiceUnavailable, pending); err != nil {
		return 0, err
	}
	took = stage.MS(time.Since(removed))
	if _, err := s.redeclare(ctx, shop.Web, func(web *mesh.Service) {
		web.Dependencies = slices.DeleteFunc(web.Dependencies, func(name mesh.ServiceName) bool { return name == partner })
	}); err != nil {
		return took, err
	}
	return took, s.becomesRefused(ctx, http.StatusForbidden, undeclared)
}

// becomesRefused waits until both of web's sidecars refuse calls to the upstream.
func (s *scenario) becomesRefused(ctx context.Context, status int, reason string) error {
	return s.eachFront(func(f *front) error {
		return stage.PollEach(ctx, time.Millisecond, settleTime, fmt.Sprintf("%s to answer %d for %s", f.id, status, partner), func(ctx context.Context) error {
			got, err := f.get(ctx, "/call/"+partner)
			if err != nil {
				return err
			}
			return refusedAs(got, status, reason, partner)
		})
	})
}

func upstreamAt(o *outside) *heddlev1.Upstream {
	return &heddlev1.Upstream{
		Name: partner, Owner: "team-shop", Description: "a server outside the mesh",
		Protocol: heddlev1.Protocol_PROTOCOL_HTTP, Port: 80,
		Endpoints: &heddlev1.Upstream_Static{Static: &heddlev1.StaticEndpoints{
			Addresses: []*heddlev1.StaticEndpoint{{Address: loopback, Port: uint32(o.port)}},
		}},
	}
}

// upstreamAPI is the gRPC API as a client outside has it.
type upstreamAPI struct {
	conn   *grpc.ClientConn
	client heddlev1.UpstreamServiceClient
	token  string
}

func (s *scenario) openAPI() (*upstreamAPI, error) {
	token, err := os.ReadFile(s.town.plane.tokenFile)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(s.town.plane.xds, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	return &upstreamAPI{conn: conn, client: heddlev1.NewUpstreamServiceClient(conn), token: strings.TrimSpace(string(token))}, nil
}

func (a *upstreamAPI) authorize(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+a.token)
}
