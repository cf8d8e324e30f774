package azure_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/azuretest"
	"github.com/heddle-mesh/heddle/internal/discovery/azure"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestMachinesOfScaleSets(t *testing.T) {
	for _, by := range listings {
		t.Run(string(by), func(t *testing.T) {
			a := azuretest.New(t)
			a.PutScaleSet(azuretest.ScaleSet{
				Subscription: sub, Group: "Mesh", Name: "Web", Tags: map[string]string{"heddle-service": "web:80", "heddle-weight": "3"},
				Instances: []azuretest.VM{
					{Name: "0", Zone: "1", Health: "healthy", NICs: []azuretest.NIC{azuretest.Address("10.0.0.4", "20.0.0.4")}},
					{Name: "7", Zone: "2", Power: "deallocated", Tags: map[string]string{"Heddle-Service": "api"}, NICs: []azuretest.NIC{azuretest.Address("10.0.0.5", "")}},
				},
			}, azuretest.ScaleSet{Subscription: sub, Group: "Mesh", Name: "Flex", Flexible: true, Tags: map[string]string{"heddle-service": "web"}})
			a.Put(azuretest.VM{Subscription: sub, Group: "Mesh", Name: "flex-1", ScaleSet: "Flex", NICs: []azuretest.NIC{azuretest.Address("10.0.0.6", "")}})
			got := whole(t, source(t, a, func(cfg *azure.Config) { cfg.Listing = by }))
			for name, want := range map[string]string{
				"Web_0":  "running 10.0.0.4 20.0.0.4||Web|westeurope/1|",
				"Web_7":  "deallocated 10.0.0.5 ||Web|westeurope/2|",
				"flex-1": "running 10.0.0.6 ||Flex|westeurope/|",
			} {
				if said(got[name]) != want {
					t.Errorf("%s: got  %s\nwant %s", name, said(got[name]), want)
				}
			}
			for name, want := range map[string][]mesh.VMService{"Web_0": {{Name: "web", Port: 80}}, "Web_7": {{Name: "api"}}, "flex-1": nil} {
				if vm := got[name]; !slices.Equal(vm.Runs, want) {
					t.Errorf("%s runs %v, want %v", name, vm.Runs, want)
				}
			}
			if got["Web_7"].Weight != 3 {
				t.Errorf("the instance has not the weight of its set: %+v", got["Web_7"])
			}
			if want := mesh.VMHealthy; by == azure.ByARM && got["Web_0"].Health != want {
				t.Errorf("its health is %s, want %s", got["Web_0"].Health, want)
			}
			if !strings.HasSuffix(got["Web_0"].ID, "/virtualmachinescalesets/web/virtualmachines/0") {
				t.Errorf("its ID is %s", got["Web_0"].ID)
			}
		})
	}
}

// What Azure says of the application on a machine. Of one that has just come it says
// that it is initializing, and nothing on it was seen to serve.
func TestHealthOfMachines(t *testing.T) {
	a := azuretest.New(t)
	want := map[string]mesh.VMHealth{
		"healthy": mesh.VMHealthy, "Unhealthy": mesh.VMUnhealthy, "initializing": mesh.VMUnhealthy, "Unknown": mesh.VMHealthUnknown, "": mesh.VMHealthUnknown,
	}
	for health := range want {
		a.Put(azuretest.VM{Subscription: sub, Group: "mesh", Name: "is-" + health, Health: health})
	}
	got := whole(t, source(t, a, func(cfg *azure.Config) { cfg.Listing = azure.ByARM }))
	for health, want := range want {
		if is := got["is-"+health].Health; is != want {
			t.Errorf("%q comes to %s, want %s", health, is, want)
		}
	}
}

func TestOnlyWhatIsSelectedIsListed(t *testing.T) {
	for _, by := range listings {
		t.Run(string(by), func(t *testing.T) {
			a := azuretest.New(t)
			for name, tags := range map[string]map[string]string{"both": {"Env": "prod", "mesh": "x"}, "one": {"env": "prod"}, "other": {"env": "Prod", "mesh": ""}, "any": {"ENV": "prod", "mesh": ""}} {
				a.Put(azuretest.VM{Subscription: sub, Group: "mesh", Name: name, Tags: tags})
			}
			instance := []azuretest.VM{{Name: "0"}}
			a.PutScaleSet(azuretest.ScaleSet{Subscription: sub, Group: "mesh", Name: "in", Tags: map[string]string{"env": "prod", "mesh": "1"}, Instances: instance}, azuretest.ScaleSet{Subscription: sub, Group: "mesh", Name: "out", Instances: instance})
			a.Put(azuretest.VM{Subscription: sub, Group: "elsewhere", Name: "both-elsewhere", Tags: map[string]string{"env": "prod", "mesh": "x"}})
			got := whole(t, source(t, a, func(cfg *azure.Config) {
				cfg.Listing, cfg.Select = by, map[string]string{"env": "prod", "Mesh": ""}
				cfg.Subscriptions[0].ResourceGroups = []string{"MESH"}
			}))
			var names []string
			for name := range got {
				names = append(names, name)
			}
			slices.Sort(names)
			if want := []string{"any", "both", "in_0"}; !slices.Equal(names, want) {
				t.Errorf("%v are listed, want %v", names, want)
			}
			calls := a.Calls()
			if by == azure.ByARM && (calls[azuretest.Instances] != 1 || calls[azuretest.InstancePublic] != 0) {
				t.Errorf("more is asked than what is wanted: %v", calls)
			}
		})
	}
}

// TestTheTagsThatSelectInstances are those of their uniform scale set; an instance that says
// other things itself is not selected by them.
func TestTheTagsThatSelectInstances(t *testing.T) {
	prod, test := map[string]string{"env": "prod"}, map[string]string{"Env": "test"}
	for _, by := range listings {
		t.Run(string(by), func(t *testing.T) {
			a := azuretest.New(t)
			instances := []azuretest.VM{{Name: "none"}, {Name: "prod", Tags: prod}, {Name: "test", Tags: test}}
			a.PutScaleSet(azuretest.ScaleSet{Subscription: sub, Group: "mesh", Name: "in", Tags: prod, Instances: instances}, azuretest.ScaleSet{Subscription: sub, Group: "mesh", Name: "out", Tags: test, Instances: instances},
				azuretest.ScaleSet{Subscription: sub, Group: "mesh", Name: "untagged", Instances: instances})
			got := whole(t, source(t, a, func(cfg *azure.Config) { cfg.Listing, cfg.Select = by, prod }))
			if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, []string{"in_none", "in_prod"}) {
				t.Errorf("%v are listed", names)
			}
		})
	}
}

func TestSettingsAreChecked(t *testing.T) {
	good := []azure.Subscription{{ID: sub}}
	for name, c := range map[string]struct {
		cfg  azure.Config
		want []string // "": none
	}{
		"nothing":            {azure.Config{}, []string{"subscriptions wants 1 to 1000 entries"}},
		"all wrong at once":  {azure.Config{Subscriptions: []azure.Subscription{{ID: "prod"}}, Listing: "both", Auth: "password", Cloud: "mars"}, []string{`"prod" is not a subscription's ID`, `listing: "both"`, `auth: "password" is none of managedIdentity`, `cloud: "mars" is none of public`}},
		"twice":              {azure.Config{Subscriptions: []azure.Subscription{{ID: sub}, {ID: strings.ToLower(sub)}}}, []string{"is listed already"}},
		"a group in KQL":     {azure.Config{Subscriptions: []azure.Subscription{{ID: sub, ResourceGroups: []string{"x') | union (y", "a", "A", "b."}}}}, []string{"resourceGroups[0]", "resourceGroups[2]", "resourceGroups[3]"}},
		"a secret of nobody": {azure.Config{Subscriptions: good, Auth: azure.ByManagedIdentity, ClientSecretFile: "x"}, []string{`clientSecretFile is not for auth: "managedIdentity"`}},
		"no secret":          {azure.Config{Subscriptions: good, Auth: azure.ByServicePrincipal, ClientID: "a", TenantID: "b"}, []string{"clientSecretFile or clientCertificateFile"}},
		"no file of events":  {azure.Config{Subscriptions: good, Events: &azure.Events{}}, []string{"events.secretFile"}},
		"clear text":         {azure.Config{Subscriptions: good, Cloud: azure.Custom, AuthorityHost: "http://login", ResourceManager: "http://arm.example.com"}, []string{"authorityHost", "tokens would go there in clear text"}},
		"half a cloud":       {azure.Config{Subscriptions: good, ResourceManager: "https://arm.example.com"}, []string{"are for cloud: custom"}},
		"China":              {azure.Config{Subscriptions: good, Cloud: azure.China, Auth: azure.ByCLI}, nil},
		"the US's":           {azure.Config{Subscriptions: good, Cloud: azure.USGovernment, Auth: azure.ByManagedIdentity, ClientID: sub}, nil},
		"a workload":         {azure.Config{Subscriptions: good, Auth: azure.ByWorkloadIdentity, ClientID: "a", TenantID: "b", FederatedTokenFile: "/var/run/token"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := azure.New(c.cfg)
			if len(c.want) == 0 && err != nil {
				t.Error(err)
			}
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v does not say %q", err, want)
				}
			}
		})
	}
}
