package translate

import (
	"strings"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	networkinputv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/network/v3"
	sslinputv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/ssl/v3"
	metadatav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/input_matchers/metadata/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// manyCallers is from how many callers on they are looked up instead of tried one
// after the other. Each that is tried takes Envoy more than a microsecond for each
// request; the look-up takes as long as some fifteen of them.
const manyCallers = 16

// callerTree admits whom rules admits, in the same time however many they are.
func (b *builder) callerTree(list []caller, anyGateway, withTokens bool) *xdsmatcherv3.Matcher {
	byID := map[string]*xdsmatcherv3.Matcher_OnMatch{}
	for _, one := range list {
		byID[one.id] = b.admitted(one.name, exactly(one.id), withTokens)
	}
	return &xdsmatcherv3.Matcher{
		MatcherType: &xdsmatcherv3.Matcher_MatcherTree_{MatcherTree: &xdsmatcherv3.Matcher_MatcherTree{
			Input: input("peer", &sslinputv3.UriSanInput{}),
			TreeType: &xdsmatcherv3.Matcher_MatcherTree_ExactMatchMap{
				ExactMatchMap: &xdsmatcherv3.Matcher_MatcherTree_MatchMap{Map: byID},
			},
		}},
		OnNoMatch: b.unlisted(anyGateway, withTokens),
	}
}

// unlisted is what becomes of callers that are not in the tree.
func (b *builder) unlisted(anyGateway, withTokens bool) *xdsmatcherv3.Matcher_OnMatch {
	refused := access("nobody else", rbacv3.RBAC_DENY)
	if !anyGateway {
		return refused
	}
	prefix := b.trust.gatewayID("")
	ours := single(input("peer", &sslinputv3.UriSanInput{}), &xdsmatcherv3.StringMatcher{MatchPattern: &xdsmatcherv3.StringMatcher_Prefix{Prefix: prefix}})
	name := mesh.GatewayCaller("*")
	return nested([]*xdsmatcherv3.Matcher_MatcherList_FieldMatcher{{
		Predicate: ours,
		OnMatch:   b.admitted(name, &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: prefix}}, withTokens),
	}}, refused)
}

// admitted lets a caller pass: with a token that was given to it, or to ask whether
// the service is well.
func (b *builder) admitted(name string, id *matcherv3.StringMatcher, withTokens bool) *xdsmatcherv3.Matcher_OnMatch {
	if !withTokens {
		return access(name, rbacv3.RBAC_ALLOW)
	}
	key := func(name string) *networkinputv3.DynamicMetadataInput_PathSegment {
		return &networkinputv3.DynamicMetadataInput_PathSegment{Segment: &networkinputv3.DynamicMetadataInput_PathSegment_Key{Key: name}}
	}
	passes := []*xdsmatcherv3.Matcher_MatcherList_FieldMatcher{{
		Predicate: &xdsmatcherv3.Matcher_MatcherList_Predicate{MatchType: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate_{
			SinglePredicate: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate{
				Input: input("token", &networkinputv3.DynamicMetadataInput{Filter: jwtFilter, Path: []*networkinputv3.DynamicMetadataInput_PathSegment{key(claims), key("sub")}}),
				Matcher: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate_CustomMatch{
					CustomMatch: input("its own", &metadatav3.Metadata{Value: &matcherv3.ValueMatcher{MatchPattern: &matcherv3.ValueMatcher_StringMatch{StringMatch: id}}}),
				},
			},
		}},
		OnMatch: access(name, rbacv3.RBAC_ALLOW),
	}}
	for _, one := range healthRequests(b.own) {
		asked := input("path", &matcherv3.HttpRequestHeaderMatchInput{HeaderName: ":path"})
		method := single(input("method", &matcherv3.HttpRequestHeaderMatchInput{HeaderName: ":method"}), &xdsmatcherv3.StringMatcher{
			MatchPattern: &xdsmatcherv3.StringMatcher_Exact{Exact: one.method},
		})
		for _, text := range []*xdsmatcherv3.StringMatcher{
			{MatchPattern: &xdsmatcherv3.StringMatcher_Exact{Exact: one.path}},
			{MatchPattern: &xdsmatcherv3.StringMatcher_Prefix{Prefix: strings.TrimSuffix(one.path, "?") + "?"}},
		} {
			passes = append(passes, &xdsmatcherv3.Matcher_MatcherList_FieldMatcher{Predicate: all(method, single(asked, text)), OnMatch: access(healthPolicy, rbacv3.RBAC_ALLOW)})
		}
	}
	return nested(passes, access("nobody else", rbacv3.RBAC_DENY))
}

func access(name string, action rbacv3.RBAC_Action) *xdsmatcherv3.Matcher_OnMatch {
	return &xdsmatcherv3.Matcher_OnMatch{OnMatch: &xdsmatcherv3.Matcher_OnMatch_Action{Action: input("access", &rbacv3.Action{Name: name, Action: action})}}
}

func nested(passes []*xdsmatcherv3.Matcher_MatcherList_FieldMatcher, otherwise *xdsmatcherv3.Matcher_OnMatch) *xdsmatcherv3.Matcher_OnMatch {
	return &xdsmatcherv3.Matcher_OnMatch{OnMatch: &xdsmatcherv3.Matcher_OnMatch_Matcher{Matcher: &xdsmatcherv3.Matcher{
		MatcherType: &xdsmatcherv3.Matcher_MatcherList_{MatcherList: &xdsmatcherv3.Matcher_MatcherList{Matchers: passes}},
		OnNoMatch:   otherwise,
	}}}
}

func all(list ...*xdsmatcherv3.Matcher_MatcherList_Predicate) *xdsmatcherv3.Matcher_MatcherList_Predicate {
	return &xdsmatcherv3.Matcher_MatcherList_Predicate{MatchType: &xdsmatcherv3.Matcher_MatcherList_Predicate_AndMatcher{
		AndMatcher: &xdsmatcherv3.Matcher_MatcherList_Predicate_PredicateList{Predicate: list},
	}}
}

func single(what *xdscorev3.TypedExtensionConfig, text *xdsmatcherv3.StringMatcher) *xdsmatcherv3.Matcher_MatcherList_Predicate {
	return &xdsmatcherv3.Matcher_MatcherList_Predicate{MatchType: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate_{
		SinglePredicate: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate{
			Input:   what,
			Matcher: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate_ValueMatch{ValueMatch: text},
		},
	}}
}

func input(name string, config proto.Message) *xdscorev3.TypedExtensionConfig {
	return &xdscorev3.TypedExtensionConfig{Name: name, TypedConfig: pack(config)}
}
