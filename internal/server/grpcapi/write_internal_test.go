package grpcapi

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	heddlev1 "github.com/heddle-mesh/heddle/api/heddle/v1"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// What a message says can take seconds to read, which strangers must not be able
// to ask for.
func TestAMessageIsReadOnceItsSenderIsKnown(t *testing.T) {
	p := put{view: &serviceView, message: &heddlev1.CreateServiceRequest{}, name: "orders", read: func() (mesh.Service, mesh.Faults) {
		t.Error("it was read")
		return mesh.Service{}, nil
	}}
	a := New(Config{})
	for _, write := range []func() (mesh.Service, error){
		func() (mesh.Service, error) { return a.create(t.Context(), p) },
		func() (mesh.Service, error) { return a.update(t.Context(), p) },
	} {
		if _, err := write(); status.Code(err) != codes.Unauthenticated {
			t.Errorf("got %v", err)
		}
	}
}
