package authz

import (
	"encoding/json"
	"fmt"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// The headers that sidecars and applications see.
const (
	// TokenHeader carries the token to the callee's sidecar. One that comes from
	// an application or from outside is never passed on.
	TokenHeader = "x-heddle-token"
	// WarningHeader says, to callee and caller, that a request will be refused.
	WarningHeader = "x-heddle-warning"
	reasonHeader  = "x-heddle-reason" // as sidecars set it in their own refusals
	// mirrorToken is the dynamic metadata that holds the token for a copy.
	mirrorToken = "mirror-token"
)

// response is an encoded CheckResponse. It is shared by all requests that are
// answered the same, so it never changes.
type response struct {
	buffers mem.BufferSlice
	passes  bool // the request does
}

func encodeResponse(r *authv3.CheckResponse) *response {
	data, err := proto.Marshal(r)
	if err != nil {
		// Only text that is not UTF-8 cannot be encoded, and none gets here.
		panic("authz: encode a response: " + err.Error())
	}
	return &response{buffers: mem.BufferSlice{mem.SliceBuffer(data)}, passes: r.GetOkResponse() != nil}
}

// with adds to what happens to a request that passes. What is encoded behind a
// message is merged into it (Protocol Buffers, "Encoding", "Last One Wins").
func (r *response) with(more *authv3.CheckResponse) *response {
	if !r.passes {
		return r
	}
	return &response{buffers: slices.Concat(r.buffers, encodeResponse(more).buffers), passes: true}
}

// forMirror hands the token for a copy to Envoy, which puts it into the copy only:
// %DYNAMIC_METADATA(envoy.filters.http.ext_authz:mirror-token)%.
func forMirror(token string) *authv3.CheckResponse {
	return &authv3.CheckResponse{DynamicMetadata: &structpb.Struct{Fields: map[string]*structpb.Value{mirrorToken: structpb.NewStringValue(token)}}}
}

func header(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: name, Value: value},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}

// allowed lets a request pass with its token in the place of any that it brought.
//
// It is made for each token that comes from Redis, so it is put together here
// rather than by [encodeResponse], which takes several times as long. Each message
// is preceded by its size: tags have one byte, and so has the action.
// TestAllowedIsWhatProtoEncodes holds it to that.
func allowed(token string) *response {
	header := 1 + protowire.SizeBytes(len(TokenHeader)) + 1 + protowire.SizeBytes(len(token))
	option := 1 + protowire.SizeBytes(header) + 2
	ok := 1 + protowire.SizeBytes(option)
	data := make([]byte, 0, 2+1+protowire.SizeBytes(ok))
	begin := func(field protowire.Number, size int) {
		data = protowire.AppendVarint(protowire.AppendTag(data, field, protowire.BytesType), uint64(size))
	}
	begin(1, 0)      // CheckResponse.status: OK
	begin(3, ok)     // CheckResponse.ok_response
	begin(2, option) // OkHttpResponse.headers
	begin(1, header) // HeaderValueOption.header
	begin(1, len(TokenHeader))
	data = append(data, TokenHeader...)
	begin(2, len(token))
	data = append(data, token...)
	data = protowire.AppendTag(data, 3, protowire.VarintType) // HeaderValueOption.append_action
	data = protowire.AppendVarint(data, uint64(corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD))
	return &response{buffers: mem.BufferSlice{mem.SliceBuffer(data)}, passes: true}
}

// Refusal is the body of a refused request.
type Refusal struct {
	Error   Reason `json:"error"`
	Caller  string `json:"caller,omitempty"`
	Callee  string `json:"callee,omitempty"`
	Message string `json:"message"`
	Mend    string `json:"mend,omitempty"` // what to do
}

// refusal says to a person why, and what mends it.
func refusal(reason Reason, caller Caller, callee mesh.ServiceName, detail string) Refusal {
	r := Refusal{Error: reason, Caller: caller.Name, Callee: string(callee)}
	switch reason {
	case Undeclared:
		r.Message = fmt.Sprintf("service %q has not declared a dependency on %q", caller.Name, callee)
		r.Mend = fmt.Sprintf("heddle get service %s -o yaml > %s, add %q to its dependencies, heddle apply -f %[2]s", mesh.ShellWord(caller.Name), mesh.ShellWord(caller.Name+".yaml"), callee)
	case Unapproved:
		r.Message = fmt.Sprintf("the owner of %q has not approved %s %q as a caller", callee, caller.Kind, caller.Name)
		r.Mend = fmt.Sprintf("ask the owner of %s to add it to access.approved", callee)
	case UnknownCaller:
		r.Message = fmt.Sprintf("nobody has declared the service %q, which calls %q", caller.Name, callee)
		r.Mend = fmt.Sprintf("write a declaration of %s with %q in its dependencies, heddle apply -f %s", caller.Name, callee, mesh.ShellWord(caller.Name+".yaml"))
	case UnknownCallee:
		r.Message = fmt.Sprintf("%q calls %q, which nobody has declared", caller.Name, callee)
		r.Mend = fmt.Sprintf("write a declaration of %s, heddle apply -f %s", callee, mesh.ShellWord(string(callee)+".yaml"))
	case NotRouted:
		r.Message = fmt.Sprintf("gateway %q may not call %q: no route that it serves names it", caller.Name, callee)
		r.Mend = fmt.Sprintf("write a Route with the backend %s, heddle apply -f route.yaml", callee)
	case NoIdentity:
		r.Message = "nothing proves who calls: " + detail
	case NoCallee:
		r.Message = `the sidecar did not say what is called: the route has no context extension "callee"`
	}
	return r
}

// toStranger is a refusal for whoever is outside the mesh, or has not shown to be
// inside: it names nothing of it. The log has the rest.
func (r Refusal) toStranger() Refusal {
	if r.Error == NoIdentity {
		return Refusal{Error: NoIdentity, Message: "the proxy before this service has not proven who it is"}
	}
	return Refusal{Error: NotRouted, Message: "the gateway may not pass this request on"}
}

// Unauthorized says whether a request is refused because it is not known who sends
// it: then it is answered 401, and otherwise 403.
func (r Reason) Unauthorized() bool {
	switch r {
	case NoIdentity, NoToken, MalformedToken, UnknownKey, WrongSignature, WrongIssuer, WrongAudience, ExpiredToken, EarlyToken:
		return true
	}
	return false
}

// denied refuses a request; challenge is what WWW-Authenticate says, if anything.
func denied(r Refusal, challenge string) *response {
	body, _ := json.MarshalIndent(r, "", "  ") // strings always can be
	code, rpc := typev3.StatusCode_Forbidden, codes.PermissionDenied
	if r.Error.Unauthorized() {
		code, rpc = typev3.StatusCode_Unauthorized, codes.Unauthenticated
	}
	headers := []*corev3.HeaderValueOption{header("content-type", "application/json"), header(reasonHeader, string(r.Error))}
	if challenge != "" {
		headers = append(headers, header("www-authenticate", challenge))
	}
	return encodeResponse(&authv3.CheckResponse{
		Status: &rpcstatus.Status{Code: int32(rpc), Message: string(r.Error)},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
			Status:  &typev3.HttpStatus{Code: code},
			Headers: headers,
			Body:    string(body) + "\n",
		}},
	})
}

// passed lets a request pass without a token: with the warning if there is one, of
// which a stranger is not told.
func passed(warning string, stranger bool) *response {
	ok := &authv3.OkHttpResponse{HeadersToRemove: []string{TokenHeader}}
	if warning != "" {
		ok.Headers = []*corev3.HeaderValueOption{header(WarningHeader, warning)}
		if !stranger {
			ok.ResponseHeadersToAdd = []*corev3.HeaderValueOption{header(WarningHeader, warning)}
		}
	}
	return encodeResponse(&authv3.CheckResponse{
		Status:       &rpcstatus.Status{},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: ok},
	})
}
