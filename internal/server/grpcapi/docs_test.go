package grpcapi_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

// example finds the commands of the reference page that make a call: its
// headers, its message if there is one, and its method.
var example = regexp.MustCompile(`(?s)grpcurl -plaintext (-H "authorization: Bearer \$HEDDLE_TOKEN" )?(?:-d '([^']*)' )?127\.0\.0\.1:18000 (heddle\.v1\.\w+)/(\w+)`)

// TestTheExamplesInTheReferenceWork makes each call of the page, in its order,
// as grpcurl would, and holds that no method is without an example.
func TestTheExamplesInTheReferenceWork(t *testing.T) {
	page, err := os.ReadFile("../../../docs/reference/grpc.md")
	ok(t, err)
	h := start(t)
	missing := map[string]bool{}
	for service := range h.server.grpc.GetServiceInfo() {
		for _, method := range serviceNamed(t, service) {
			missing[string(method.FullName())] = true
		}
	}
	for _, found := range example.FindAllStringSubmatch(string(page), -1) {
		authorized, body, service, name := found[1] != "", found[2], found[3], found[4]
		var method protoreflect.MethodDescriptor
		for _, one := range serviceNamed(t, service) {
			if string(one.Name()) == name {
				method = one
			}
		}
		if method == nil {
			t.Errorf("the page calls %s/%s, which does not exist", service, name)
			continue
		}
		delete(missing, string(method.FullName()))
		request := dynamicpb.NewMessage(method.Input())
		if body != "" {
			if err := protojson.Unmarshal([]byte(body), request); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
		}
		ctx := h.reader()
		if authorized {
			ctx = h.writer()
		}
		stream, err := h.server.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/"+service+"/"+name)
		ok(t, err)
		ok(t, stream.SendMsg(request))
		ok(t, stream.CloseSend())
		if err := stream.RecvMsg(dynamicpb.NewMessage(method.Output())); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(missing) > 0 {
		t.Errorf("no example of %s", strings.Join(slices.Sorted(maps.Keys(missing)), ", "))
	}
}

func serviceNamed(t *testing.T, name string) []protoreflect.MethodDescriptor {
	t.Helper()
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
	ok(t, err)
	methods := found.(protoreflect.ServiceDescriptor).Methods()
	var list []protoreflect.MethodDescriptor
	for i := range methods.Len() {
		list = append(list, methods.Get(i))
	}
	return list
}
