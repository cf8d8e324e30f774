package grpcapi

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// A status travels in HTTP/2 headers, of which several gRPC implementations take
// 8 KiB at most. The message is in there twice, the details in base64.
const (
	maxMessage = 600
	maxDetails = 4096
)

// refusal turns an error into a gRPC status; conflict is the code for
// [mesh.KindConflict], which means different things to different calls.
func (a *API) refusal(ctx context.Context, err error, conflict codes.Code) error {
	if err == nil {
		return nil
	}
	var refused *mesh.Error
	if !errors.As(err, &refused) {
		return a.foreign(ctx, err)
	}
	if refused.Kind == mesh.KindInvalid {
		return invalid(refused)
	}
	code, known := map[mesh.ErrorKind]codes.Code{
		mesh.KindNotFound:    codes.NotFound,
		mesh.KindConflict:    conflict,
		mesh.KindDenied:      codes.PermissionDenied,
		mesh.KindUnavailable: codes.Unavailable,
	}[refused.Kind]
	if !known {
		return a.foreign(ctx, err)
	}
	if refused.Reason == mesh.ReasonDependents {
		return dependedOn(refused)
	}
	if refused.Reason == mesh.ReasonKept { // trying again does not help
		code = codes.FailedPrecondition
	}
	plain := status.New(code, shorten(err.Error()))
	if refused.Reason == "" {
		return plain.Err()
	}
	return detailed(plain, reasonOf(refused))
}

// reasonOf tells the reason, for programs. AIP-193: reasons are in upper case, the
// domain says whose they are.
func reasonOf(refused *mesh.Error) *errdetails.ErrorInfo {
	return &errdetails.ErrorInfo{Reason: strings.ToUpper(string(refused.Reason)), Domain: "heddle"}
}

// dependedOn lists who depends on what was to be deleted, each as a violation.
func dependedOn(refused *mesh.Error) error {
	details := &errdetails.PreconditionFailure{}
	for i, fault := range refused.Faults {
		one := &errdetails.PreconditionFailure_Violation{Type: "DEPENDENT", Subject: shorten(fault.Path), Description: shorten(fault.Message)}
		details.Violations = append(details.Violations, one)
		if proto.Size(details) > maxDetails {
			one.Subject, one.Description = "", fmt.Sprintf("and %d more", len(refused.Faults)-i)
			break
		}
	}
	return detailed(status.New(codes.FailedPrecondition, shorten(refused.Error())), reasonOf(refused), details)
}

// detailed adds details; without them a status still says what matters.
func detailed(plain *status.Status, details ...protoadapt.MessageV1) error {
	with, err := plain.WithDetails(details...)
	if err != nil {
		return plain.Err()
	}
	return with.Err()
}

// foreign answers for errors that are no refusals: the call's own end, a status
// made already, or a fault of ours, whose text is for the log alone.
func (a *API) foreign(ctx context.Context, err error) error {
	if _, is := status.FromError(err); is {
		return err
	}
	switch {
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, "the call was cancelled")
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, "the call's deadline passed")
	}
	a.logger.ErrorContext(ctx, "gRPC API call failed", "error", err)
	return status.Error(codes.Internal, "an internal error; the server's log says more")
}

// invalid lists every fault as a field violation.
func invalid(refused *mesh.Error) error {
	details := &errdetails.BadRequest{}
	for i, fault := range refused.Faults {
		one := &errdetails.BadRequest_FieldViolation{Field: shorten(fault.Path), Description: shorten(fault.Message)}
		details.FieldViolations = append(details.FieldViolations, one)
		if proto.Size(details) > maxDetails {
			one.Field, one.Description = "", fmt.Sprintf("and %d more", len(refused.Faults)-i)
			break
		}
	}
	plain := status.New(codes.InvalidArgument, shorten(refused.Error()))
	if len(refused.Faults) == 0 {
		return plain.Err()
	}
	return detailed(plain, details)
}

// shorten bounds a text, and makes it valid for a protocol buffer.
func shorten(s string) string { return mesh.Cut(s, maxMessage) }
