package grpcapi

import (
	"context"

	heddlev1 "github.com/heddle-mesh/heddle/api/heddle/v1"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// upstreamServer implements UpstreamService. Field comments in upstreams.proto say
// what the calls promise.
type upstreamServer struct {
	heddlev1.UnimplementedUpstreamServiceServer
	api *API
}

// CreateUpstream adds an upstream.
func (s *upstreamServer) CreateUpstream(ctx context.Context, r *heddlev1.CreateUpstreamRequest) (*heddlev1.CreateUpstreamResponse, error) {
	stored, err := s.api.create(ctx, put{
		view: &upstreamView, message: r, name: r.GetUpstream().GetName(),
		read:      func() (mesh.Service, mesh.Faults) { return decodeUpstream(r.GetUpstream()) },
		requestID: r.GetRequestId(),
	})
	if err != nil {
		return nil, err
	}
	return &heddlev1.CreateUpstreamResponse{Upstream: encodeUpstream(&stored)}, nil
}

// UpdateUpstream replaces an upstream.
func (s *upstreamServer) UpdateUpstream(ctx context.Context, r *heddlev1.UpdateUpstreamRequest) (*heddlev1.UpdateUpstreamResponse, error) {
	stored, err := s.api.update(ctx, put{
		view: &upstreamView, message: r, name: r.GetUpstream().GetName(),
		read:      func() (mesh.Service, mesh.Faults) { return decodeUpstream(r.GetUpstream()) },
		requestID: r.GetRequestId(), revision: r.GetRevision(),
	})
	if err != nil {
		return nil, err
	}
	return &heddlev1.UpdateUpstreamResponse{Upstream: encodeUpstream(&stored)}, nil
}

// DeleteUpstream removes an upstream.
func (s *upstreamServer) DeleteUpstream(ctx context.Context, r *heddlev1.DeleteUpstreamRequest) (*heddlev1.DeleteUpstreamResponse, error) {
	err := s.api.delete(ctx, remove{view: &upstreamView, message: r, name: r.GetName(), requestID: r.GetRequestId(), revision: r.GetRevision(), force: r.GetForce()})
	if err != nil {
		return nil, err
	}
	return &heddlev1.DeleteUpstreamResponse{}, nil
}

// GetUpstream gives one upstream.
func (s *upstreamServer) GetUpstream(ctx context.Context, r *heddlev1.GetUpstreamRequest) (*heddlev1.GetUpstreamResponse, error) {
	service, err := s.api.get(ctx, &upstreamView, r.GetName())
	if err != nil {
		return nil, err
	}
	return &heddlev1.GetUpstreamResponse{Upstream: encodeUpstream(s.api.told(ctx)(&service))}, nil
}

// ListUpstreams gives a page of upstreams.
func (s *upstreamServer) ListUpstreams(ctx context.Context, r *heddlev1.ListUpstreamsRequest) (*heddlev1.ListUpstreamsResponse, error) {
	told := s.api.told(ctx)
	page, err := list(ctx, s.api, &upstreamView, r.GetPageSize(), r.GetPageToken(), func(one *mesh.Service) *heddlev1.Upstream { return encodeUpstream(told(one)) })
	if err != nil {
		return nil, err
	}
	return &heddlev1.ListUpstreamsResponse{Upstreams: page.items, NextPageToken: page.next, Revision: page.revision}, nil
}

// WatchUpstreams streams upstreams and their changes.
func (s *upstreamServer) WatchUpstreams(r *heddlev1.WatchUpstreamsRequest, stream heddlev1.UpstreamService_WatchUpstreamsServer) error {
	told := s.api.told(stream.Context())
	return watch(stream.Context(), s.api, &upstreamView, r.GetRevision(), encoder[*heddlev1.UpstreamChange]{
		put: func(service *mesh.Service) *heddlev1.UpstreamChange {
			return &heddlev1.UpstreamChange{Change: &heddlev1.UpstreamChange_Put{Put: encodeUpstream(told(service))}}
		},
		deleted: func(name string) *heddlev1.UpstreamChange {
			return &heddlev1.UpstreamChange{Change: &heddlev1.UpstreamChange_Deleted{Deleted: name}}
		},
		send: func(start bool, revision int64, changes []*heddlev1.UpstreamChange) error {
			return stream.Send(&heddlev1.WatchUpstreamsResponse{SnapshotStart: start, Revision: revision, Changes: changes})
		},
	})
}
