package grpcapi_test

import (
	"fmt"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	heddlev1 "github.com/heddle-mesh/heddle/api/heddle/v1"
)

// TestWhatOthersDependOnIsDeletedByForceAlone through both services of the API.
func TestWhatOthersDependOnIsDeletedByForceAlone(t *testing.T) {
	h := start(t)
	h.declare("orders")
	h.create(dnsUpstream("billing", "billing.example.com"))
	_, err := h.server.services.CreateService(h.writer(), &heddlev1.CreateServiceRequest{Service: declaration("web", "orders", "billing")})
	ok(t, err)
	deletions := map[string]func(force bool) error{
		"orders": func(force bool) error {
			_, err := h.server.services.DeleteService(h.writer(), &heddlev1.DeleteServiceRequest{Name: "orders", Force: force})
			return err
		},
		"billing": func(force bool) error {
			_, err := h.server.upstreams.DeleteUpstream(h.writer(), &heddlev1.DeleteUpstreamRequest{Name: "billing", Force: force})
			return err
		},
	}
	for name, deletion := range deletions {
		err := deletion(false)
		refused(t, err, codes.FailedPrecondition, fmt.Sprintf("service %q is still depended on, by 1 service", name), "service/web: declares it")
		because(t, err, "HAS_DEPENDENTS")
		var subjects []string
		for _, detail := range status.Convert(err).Details() {
			if failure, is := detail.(*errdetails.PreconditionFailure); is {
				for _, one := range failure.GetViolations() {
					subjects = append(subjects, one.GetSubject())
				}
			}
		}
		if fmt.Sprint(subjects) != "[service/web]" {
			t.Errorf("the violations name %v", subjects)
		}
		ok(t, deletion(true))
		refused(t, deletion(true), codes.NotFound)
	}
}

// TestTheListOfDependentsFitsIntoAStatus when there are very many.
func TestTheListOfDependentsFitsIntoAStatus(t *testing.T) {
	h := start(t)
	h.declare("orders")
	for i := range 150 {
		_, err := h.server.services.CreateService(h.writer(), &heddlev1.CreateServiceRequest{Service: declaration(fmt.Sprintf("a-caller-of-orders-with-a-long-name-%03d", i), "orders")})
		ok(t, err)
	}
	_, err := h.server.services.DeleteService(h.writer(), &heddlev1.DeleteServiceRequest{Name: "orders"})
	refused(t, err, codes.FailedPrecondition, "by 150 services")
	because(t, err, "HAS_DEPENDENTS")
}
