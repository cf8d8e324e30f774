package registry_test

import (
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

func keeperToken(vouches ...string) registry.Token {
	return registry.Token{ID: "k", Kind: registry.KeeperToken, Keeper: "kubernetes/prod", Vouches: vouches}
}

// A join token that is bound is good for one key, from one address.
func TestABoundJoinTokenIsForOneWorkload(t *testing.T) {
	s := openStore(t)
	key, other := strings.Repeat("ab", 32), strings.Repeat("cd", 32)
	_, secret, err := s.CreateJoinToken(t.Context(), registry.Token{Service: "web", Uses: 5, Bound: &registry.Bound{
		Instance: "web-1.shop.prod", Addresses: []string{"10.1.0.7", "fd00::7"}, Key: key,
	}}, time.Minute, registry.Write{})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ key, from, says string }{
		"another key":        {other, "10.1.0.7:4000", "another workload's key"},
		"another address":    {key, "10.1.0.8:4000", "at 10.1.0.7, and this comes from \"10.1.0.8\""},
		"from nowhere":       {key, "", "at 10.1.0.7"},
		"no address":         {key, "10.1.0.7x:1", "at 10.1.0.7"},
		"a longer address":   {key, "10.1.0.70:1", "at 10.1.0.7"},
		"its own":            {key, "10.1.0.7:4000", ""},
		"the other family":   {key, "[fd00::7]:4000", ""},
		"mapped into IPv6":   {key, "[::ffff:10.1.0.7]:4000", ""},
		"with both of other": {other, "10.1.0.8:1", "another workload's key"},
	} {
		_, err := s.Join(t.Context(), secret, c.key, registry.Write{From: c.from})
		if c.says == "" && err != nil || c.says != "" && (mesh.KindOf(err) != mesh.KindDenied || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, wrong := range map[string]registry.Token{
		"an instance": {Service: "web", Bound: &registry.Bound{Instance: "a b"}},
		"an address":  {Service: "web", Bound: &registry.Bound{Addresses: []string{"web.example"}}},
		"addresses":   {Service: "web", Bound: &registry.Bound{Addresses: make([]string, 17)}},
		"a key":       {Service: "web", Bound: &registry.Bound{Key: "abc"}},
		"vouches":     {Service: "web", Vouches: []string{"gateway/edge"}},
	} {
		if _, _, err := s.CreateJoinToken(t.Context(), wrong, 0, registry.Write{}); mesh.KindOf(err) != mesh.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A keeper makes join tokens of the gateways and AuthZ services that an admin has it
// vouch for, and of no others.
func TestWhomAKeeperVouchesFor(t *testing.T) {
	s := openStore(t)
	edge, authz := registry.Token{Gateway: "edge", Uses: 1}, registry.Token{Authz: true, Uses: 1}
	with := registry.Write{By: keeperToken("gateway/edge", "heddle/authz")}
	for _, token := range []registry.Token{edge, authz} {
		made, _, err := s.CreateJoinToken(t.Context(), token, time.Minute, with)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.RevokeToken(t.Context(), made.ID, with); err != nil {
			t.Error(err)
		}
		if _, _, err := s.CreateJoinToken(t.Context(), token, time.Minute, registry.Write{By: keeperToken()}); mesh.KindOf(err) != mesh.KindDenied || !strings.Contains(err.Error(), "--vouch") {
			t.Errorf("without: %v", err)
		}
	}
	for name, c := range map[string]struct {
		token registry.Token
		ttl   time.Duration
		by    registry.Token
	}{
		"another gateway":      {registry.Token{Gateway: "inner", Uses: 1}, time.Minute, with.By},
		"a service of a name":  {registry.Token{Service: "edge", Uses: 1}, time.Minute, with.By},
		"many uses":            {registry.Token{Gateway: "edge", Uses: 2}, time.Minute, with.By},
		"a long one":           {edge, time.Hour, with.By},
		"with a gateway's":     {authz, time.Minute, keeperToken("gateway/edge")},
		"with an AuthZ's":      {edge, time.Minute, keeperToken("heddle/authz")},
		"what it has for read": {edge, time.Minute, registry.Token{ID: "r", Kind: registry.ReaderToken, Vouches: []string{"gateway/edge"}}},
	} {
		if _, _, err := s.CreateJoinToken(t.Context(), c.token, c.ttl, registry.Write{By: c.by}); mesh.KindOf(err) != mesh.KindDenied {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, wrong := range []string{"service/web", "heddle/server", "edge", "gateway/Edge", ""} {
		token := registry.Token{Kind: registry.KeeperToken, Keeper: "kubernetes/prod", Vouches: []string{wrong}}
		if _, _, err := s.CreateToken(t.Context(), token, registry.Write{}); mesh.KindOf(err) != mesh.KindInvalid {
			t.Errorf("vouching for %q: %v", wrong, err)
		}
	}
	token, secret, err := s.CreateToken(t.Context(), registry.Token{Kind: registry.KeeperToken, Keeper: "kubernetes/prod", Vouches: with.By.Vouches}, registry.Write{})
	if err != nil || len(token.Vouches) != 2 {
		t.Fatal(token, err)
	}
	if got, err := s.Authenticate(t.Context(), secret); err != nil || len(got.Vouches) != 2 {
		t.Errorf("as it is stored: %+v, %v", got, err)
	}
}

// Each pod that ever started left a token for a day.
func TestAJoinTokenIsKeptNoLongerThanNeeded(t *testing.T) {
	s := openStore(t)
	for name, c := range map[string]struct {
		by   registry.Token
		used bool
	}{"a pod's": {keeperToken("gateway/edge"), true}, "a pod's that it did not use": {keeperToken("gateway/edge"), false}, "an admin's": {registry.Token{}, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token, secret, err := s.CreateJoinToken(t.Context(), registry.Token{Gateway: "edge", Uses: 1}, 3*time.Second, registry.Write{By: c.by})
			if err != nil {
				t.Fatal(err)
			}
			if c.used {
				for range 2 { // an answer may be lost
					if _, err := s.Join(t.Context(), secret, "key", registry.Write{}); err != nil {
						t.Fatal(err)
					}
				}
			}
			eventuallyWithin(t, 15*time.Second, func() bool {
				list, err := s.Tokens(t.Context())
				for _, one := range list {
					if one.ID == token.ID {
						return false
					}
				}
				return err == nil
			}, func() string { return "the token is still there" })
			if _, err := s.Join(t.Context(), secret, "key", registry.Write{}); mesh.KindOf(err) != mesh.KindDenied {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// A cluster's keeper makes join tokens of the gateways that Gateways of its own are, whom nobody
// has to name beforehand; a gateway of another name, cluster or namespace it does not.
func TestAKeeperMakesJoinTokensOfItsGateways(t *testing.T) {
	s := openStore(t)
	web := mesh.GatewayAPIGateway("prod", "shop", "web")
	long := strings.Repeat("a", 60)
	of := func(gateway mesh.ServiceName, object mesh.GatewayOf) registry.Token {
		return registry.Token{Gateway: gateway, Uses: 1, Bound: &registry.Bound{GatewayOf: object}}
	}
	token := func(keeper mesh.Keeper) registry.Token {
		return registry.Token{ID: "k", Kind: registry.KeeperToken, Keeper: keeper, VouchGateways: true}
	}
	for name, c := range map[string]struct {
		token registry.Token
		ttl   time.Duration
		by    registry.Token
		want  mesh.ErrorKind
	}{
		"its own":                  {of(web, "prod/shop/web"), time.Minute, token("kubernetes/prod"), ""},
		"of all clusters":          {of(web, "prod/shop/web"), time.Minute, token("kubernetes"), ""},
		"of its namespace alone":   {of(web, "prod/shop/web"), time.Minute, token("kubernetes/prod/shop"), mesh.KindDenied},
		"without the right":        {of(web, "prod/shop/web"), time.Minute, keeperToken("gateway/edge"), mesh.KindDenied},
		"of a long name":           {of(mesh.GatewayAPIGateway("prod", "shop", long), mesh.GatewayOf("prod/shop/"+long)), time.Minute, token("kubernetes/prod"), ""},
		"without its Gateway":      {registry.Token{Gateway: web, Uses: 1}, time.Minute, token("kubernetes/prod"), mesh.KindDenied},
		"another name":             {of("edge", "prod/shop/web"), time.Minute, token("kubernetes/prod"), mesh.KindDenied},
		"another Gateway":          {of(web, "prod/shop/other"), time.Minute, token("kubernetes/prod"), mesh.KindDenied},
		"read another way":         {of(web, "prod/shop-web/x"), time.Minute, token("kubernetes/prod"), mesh.KindDenied},
		"another cluster's":        {of(web, "prod/shop/web"), time.Minute, token("kubernetes/stage"), mesh.KindDenied},
		"a cluster that it begins": {of(mesh.GatewayAPIGateway("prod-eu", "shop", "web"), "prod-eu/shop/web"), time.Minute, token("kubernetes/prod"), mesh.KindDenied},
		"another namespace's":      {of(web, "prod/shop/web"), time.Minute, token("kubernetes/prod/more"), mesh.KindDenied},
		"a long time":              {of(web, "prod/shop/web"), time.Hour, token("kubernetes/prod"), mesh.KindDenied},
		"of an AuthZ service":      {registry.Token{Authz: true, Uses: 1, Bound: &registry.Bound{GatewayOf: "prod/shop/web"}}, time.Minute, token("kubernetes/prod"), mesh.KindInvalid},
		"of no Gateway":            {of(web, "shop/web"), time.Minute, token("kubernetes/prod"), mesh.KindInvalid},
		"padded":                   {of(mesh.GatewayAPIGateway("prod", "shop", "web-"), "prod/shop/web-"), time.Minute, token("kubernetes/prod"), mesh.KindInvalid},
		"padded with dots":         {of(mesh.GatewayAPIGateway("prod", "shop", "web."), "prod/shop/web."), time.Minute, token("kubernetes/prod"), mesh.KindInvalid},
		"a namespace with dots":    {of(mesh.GatewayAPIGateway("prod", "shop.a", "web"), "prod/shop.a/web"), time.Minute, token("kubernetes/prod"), mesh.KindInvalid},
		"without a cluster":        {of(mesh.GatewayAPIGateway("", "shop", "web"), "/shop/web"), time.Minute, token("kubernetes/prod"), mesh.KindInvalid},
		"without a name":           {of(mesh.GatewayAPIGateway("prod", "shop", ""), "prod/shop/"), time.Minute, token("kubernetes/prod"), mesh.KindInvalid},
		"upper case":               {of(mesh.GatewayAPIGateway("prod", "shop", "Web"), "prod/shop/Web"), time.Minute, token("kubernetes/prod"), mesh.KindInvalid},
		"an owner's":               {of(web, "prod/shop/web"), time.Minute, registry.Token{ID: "o", Owners: []string{"team-shop"}}, mesh.KindDenied},
	} {
		_, _, err := s.CreateJoinToken(t.Context(), c.token, c.ttl, registry.Write{By: c.by})
		if got := mesh.KindOf(err); (err == nil) != (c.want == "") || err != nil && got != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The right to make gateways of Gateways is given by an admin, for whole clusters.
func TestWhichTokensVouchForGatewaysOfGateways(t *testing.T) {
	s := openStore(t)
	for name, c := range map[string]struct {
		token registry.Token
		want  mesh.ErrorKind
	}{
		"a cluster":         {registry.Token{Kind: registry.KeeperToken, Keeper: "kubernetes/prod"}, ""},
		"all clusters":      {registry.Token{Kind: registry.KeeperToken, Keeper: "kubernetes"}, ""},
		"a namespace":       {registry.Token{Kind: registry.KeeperToken, Keeper: "kubernetes/prod/shop"}, mesh.KindInvalid},
		"an object":         {registry.Token{Kind: registry.KeeperToken, Keeper: "kubernetes/prod/shop/web"}, mesh.KindInvalid},
		"a source":          {registry.Token{Kind: registry.KeeperToken, Keeper: "vms/dc"}, mesh.KindInvalid},
		"an admin's":        {registry.Token{}, mesh.KindInvalid},
		"an owner's":        {registry.Token{Owners: []string{"shop"}}, mesh.KindInvalid},
		"of instances only": {registry.Token{Kind: registry.InstancesToken, Service: "web"}, mesh.KindInvalid},
	} {
		c.token.VouchGateways = true
		made, secret, err := s.CreateToken(t.Context(), c.token, registry.Write{})
		if got := mesh.KindOf(err); (err == nil) != (c.want == "") || err != nil && got != c.want {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		if got, err := s.Authenticate(t.Context(), secret); err != nil || !got.VouchGateways || !made.VouchGateways {
			t.Errorf("%s, as it is stored: %+v, %v", name, got, err)
		}
	}
	_, _, err := s.CreateJoinToken(t.Context(), registry.Token{Gateway: mesh.GatewayAPIGateway("prod", "shop", "web"), Uses: 1, Bound: &registry.Bound{GatewayOf: "prod/shop/web"}}, time.Minute, registry.Write{By: keeperToken()})
	if err == nil || !strings.Contains(err.Error(), "--keeper kubernetes/prod --vouch-gateways") {
		t.Errorf("what to do: %v", err)
	}
}
