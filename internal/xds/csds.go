package xds

import (
	"context"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	statusv3 "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// statusService is the client status discovery service: what each connected
// node has of each resource, and what it refused, in its words. It tells names
// and versions, never contents.
type statusService struct {
	statusv3.UnimplementedClientStatusDiscoveryServiceServer
	server *Server
}

// FetchClientStatus answers once.
func (c statusService) FetchClientStatus(_ context.Context, r *statusv3.ClientStatusRequest) (*statusv3.ClientStatusResponse, error) {
	return c.server.clientStatus(r)
}

// StreamClientStatus answers each request with the state of that moment.
func (c statusService) StreamClientStatus(g statusv3.ClientStatusDiscoveryService_StreamClientStatusServer) error {
	for {
		r, err := g.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		answer, err := c.server.clientStatus(r)
		if err != nil {
			return err
		}
		if err := g.Send(answer); err != nil {
			return err
		}
	}
}

// clientStatus tells of the nodes that a request asks for, by id. A node with a
// stream for each type is one client.
func (s *Server) clientStatus(r *statusv3.ClientStatusRequest) (*statusv3.ClientStatusResponse, error) {
	wanted, err := nodeFilter(r.GetNodeMatchers())
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	streams := make([]*stream, 0, len(s.streams))
	for _, st := range s.streams {
		streams = append(streams, st)
	}
	s.mu.Unlock()
	slices.SortFunc(streams, func(a, b *stream) int { return int(a.id) - int(b.id) })
	clients := map[string]*statusv3.ClientConfig{}
	answer := &statusv3.ClientStatusResponse{}
	for _, st := range streams {
		st.mu.Lock()
		if id := st.nodeID; id != "" && wanted(id) {
			client := clients[id]
			if client == nil {
				client = &statusv3.ClientConfig{Node: &corev3.Node{Id: id, Cluster: st.cluster}, ClientScope: st.scopeName}
				clients[id] = client
				answer.Config = append(answer.Config, client)
			}
			for _, sub := range st.session.subs {
				if sub != nil {
					client.GenericXdsConfigs = append(client.GenericXdsConfigs, sub.clientStatus()...)
				}
			}
		}
		st.mu.Unlock()
	}
	slices.SortFunc(answer.Config, func(a, b *statusv3.ClientConfig) int { return strings.Compare(a.Node.Id, b.Node.Id) })
	return answer, nil
}

// clientStatus tells of every name of one type that a client asked for or holds.
func (s *subscription) clientStatus() []*statusv3.ClientConfig_GenericXdsConfig {
	underway := map[name]bool{}
	for _, f := range s.flights {
		for _, one := range f.items {
			underway[one.id] = one.version != 0
		}
	}
	var names []name
	for id := range s.items.all() {
		names = append(names, id)
	}
	for id := range s.rejected {
		if s.items.get(id) == 0 {
			names = append(names, id)
		}
	}
	sortNames(names)
	all := make([]*statusv3.ClientConfig_GenericXdsConfig, 0, len(names))
	for _, id := range names {
		it := s.items.get(id)
		one := &statusv3.ClientConfig_GenericXdsConfig{TypeUrl: s.kind.facts().url, Name: id.Value()}
		if it.held() {
			one.VersionInfo = it.version().String()
		}
		_, rejected := s.rejected[id]
		switch {
		case rejected:
			one.ConfigStatus, one.ClientStatus = statusv3.ConfigStatus_ERROR, adminv3.ClientResourceStatus_NACKED
			one.ErrorState = s.lastNack.failure(id)
		case underway[id]:
			one.ConfigStatus, one.ClientStatus = statusv3.ConfigStatus_STALE, adminv3.ClientResourceStatus_REQUESTED
		case it.held():
			one.ConfigStatus, one.ClientStatus = statusv3.ConfigStatus_SYNCED, adminv3.ClientResourceStatus_ACKED
		case it.pending() || s.rescan:
			one.ConfigStatus, one.ClientStatus = statusv3.ConfigStatus_NOT_SENT, adminv3.ClientResourceStatus_REQUESTED
		default:
			one.ConfigStatus, one.ClientStatus = statusv3.ConfigStatus_NOT_SENT, adminv3.ClientResourceStatus_DOES_NOT_EXIST
		}
		all = append(all, one)
	}
	return all
}

// failure tells of a refusal, if it was about this name. An earlier one is not
// kept in the client's words.
func (n *Nack) failure(id name) *adminv3.UpdateFailureState {
	if n == nil || !slices.Contains(n.Names, id.Value()) {
		return nil
	}
	return &adminv3.UpdateFailureState{Details: n.Message, VersionInfo: n.Version, LastUpdateAttempt: timestamppb.New(n.At)}
}

// nodeFilter says which nodes a request asks for: those that any of its matchers
// fits, or all.
func nodeFilter(matchers []*matcherv3.NodeMatcher) (func(id string) bool, error) {
	var tests []func(string) bool
	for _, m := range matchers {
		if len(m.GetNodeMetadatas()) > 0 {
			return nil, status.Error(codes.InvalidArgument, "nodes are not matched by their metadata here; use node_id")
		}
		test, err := stringTest(m.GetNodeId())
		if err != nil {
			return nil, err
		}
		tests = append(tests, test)
	}
	return func(id string) bool {
		return len(tests) == 0 || slices.ContainsFunc(tests, func(test func(string) bool) bool { return test(id) })
	}, nil
}

func stringTest(m *matcherv3.StringMatcher) (func(string) bool, error) {
	fold := func(s string) string { return s }
	if m.GetIgnoreCase() {
		fold = strings.ToLower
	}
	switch p := m.GetMatchPattern().(type) {
	case nil:
		return func(string) bool { return true }, nil
	case *matcherv3.StringMatcher_Exact:
		return func(id string) bool { return fold(id) == fold(p.Exact) }, nil
	case *matcherv3.StringMatcher_Prefix:
		return func(id string) bool { return strings.HasPrefix(fold(id), fold(p.Prefix)) }, nil
	case *matcherv3.StringMatcher_Suffix:
		return func(id string) bool { return strings.HasSuffix(fold(id), fold(p.Suffix)) }, nil
	case *matcherv3.StringMatcher_Contains:
		return func(id string) bool { return strings.Contains(fold(id), fold(p.Contains)) }, nil
	case *matcherv3.StringMatcher_SafeRegex:
		whole, err := regexp.Compile("^(?:" + p.SafeRegex.GetRegex() + ")$")
		if err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "node_id.safe_regex: %v", err)
		}
		return whole.MatchString, nil
	}
	return nil, status.Errorf(codes.InvalidArgument, "node_id is matched by exact, prefix, suffix, contains or safe_regex, not %T", m.GetMatchPattern())
}
