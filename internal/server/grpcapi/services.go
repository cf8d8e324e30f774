package grpcapi

import (
	"context"

	heddlev1 "github.com/heddle-mesh/heddle/api/heddle/v1"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// serviceServer implements ServiceService. Field comments in services.proto say
// what the calls promise.
type serviceServer struct {
	heddlev1.UnimplementedServiceServiceServer
	api *API
}

// CreateService adds a service.
func (s *serviceServer) CreateService(ctx context.Context, r *heddlev1.CreateServiceRequest) (*heddlev1.CreateServiceResponse, error) {
	stored, err := s.api.create(ctx, put{
		view: &serviceView, message: r, name: r.GetService().GetName(),
		read:      func() (mesh.Service, mesh.Faults) { return decodeService(r.GetService()) },
		requestID: r.GetRequestId(),
	})
	if err != nil {
		return nil, err
	}
	return &heddlev1.CreateServiceResponse{Service: encodeService(&stored)}, nil
}

// UpdateService replaces a service.
func (s *serviceServer) UpdateService(ctx context.Context, r *heddlev1.UpdateServiceRequest) (*heddlev1.UpdateServiceResponse, error) {
	stored, err := s.api.update(ctx, put{
		view: &serviceView, message: r, name: r.GetService().GetName(),
		read:      func() (mesh.Service, mesh.Faults) { return decodeService(r.GetService()) },
		requestID: r.GetRequestId(), revision: r.GetRevision(),
	})
	if err != nil {
		return nil, err
	}
	return &heddlev1.UpdateServiceResponse{Service: encodeService(&stored)}, nil
}

// DeleteService removes a service.
func (s *serviceServer) DeleteService(ctx context.Context, r *heddlev1.DeleteServiceRequest) (*heddlev1.DeleteServiceResponse, error) {
	err := s.api.delete(ctx, remove{view: &serviceView, message: r, name: r.GetName(), requestID: r.GetRequestId(), revision: r.GetRevision(), force: r.GetForce()})
	if err != nil {
		return nil, err
	}
	return &heddlev1.DeleteServiceResponse{}, nil
}

// GetService gives one service.
func (s *serviceServer) GetService(ctx context.Context, r *heddlev1.GetServiceRequest) (*heddlev1.GetServiceResponse, error) {
	service, err := s.api.get(ctx, &serviceView, r.GetName())
	if err != nil {
		return nil, err
	}
	return &heddlev1.GetServiceResponse{Service: encodeService(s.api.told(ctx)(&service))}, nil
}

// ListServices gives a page of services.
func (s *serviceServer) ListServices(ctx context.Context, r *heddlev1.ListServicesRequest) (*heddlev1.ListServicesResponse, error) {
	told := s.api.told(ctx)
	page, err := list(ctx, s.api, &serviceView, r.GetPageSize(), r.GetPageToken(), func(one *mesh.Service) *heddlev1.Service { return encodeService(told(one)) })
	if err != nil {
		return nil, err
	}
	return &heddlev1.ListServicesResponse{Services: page.items, NextPageToken: page.next, Revision: page.revision}, nil
}

// WatchServices streams services and their changes.
func (s *serviceServer) WatchServices(r *heddlev1.WatchServicesRequest, stream heddlev1.ServiceService_WatchServicesServer) error {
	told := s.api.told(stream.Context())
	return watch(stream.Context(), s.api, &serviceView, r.GetRevision(), encoder[*heddlev1.ServiceChange]{
		put: func(service *mesh.Service) *heddlev1.ServiceChange {
			return &heddlev1.ServiceChange{Change: &heddlev1.ServiceChange_Put{Put: encodeService(told(service))}}
		},
		deleted: func(name string) *heddlev1.ServiceChange {
			return &heddlev1.ServiceChange{Change: &heddlev1.ServiceChange_Deleted{Deleted: name}}
		},
		send: func(start bool, revision int64, changes []*heddlev1.ServiceChange) error {
			return stream.Send(&heddlev1.WatchServicesResponse{SnapshotStart: start, Revision: revision, Changes: changes})
		},
	})
}
