package azuretest

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"
	computefake "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9"
	networkfake "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9/fake"
	graphfake "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resourcegraph/armresourcegraph/fake"
)

// transport is the SDK's fake server for one request. One is made for each: those of the
// SDK keep what page is next by path, and so mix up callers, and a page that is asked for
// again. The page that is asked for is all that this one has.
func (a *Azure) transport(asked Request) policy.Transporter {
	switch asked.API {
	case OneVM:
		return computefake.NewVirtualMachinesServerTransport(&computefake.VirtualMachinesServer{Get: func(context.Context, string, string, *armcompute.VirtualMachinesClientGetOptions) (fake.Responder[armcompute.VirtualMachinesClientGetResponse], fake.ErrorResponder) {
			return a.oneVM(asked)
		}})
	case VMs, VMStatus:
		return computefake.NewVirtualMachinesServerTransport(&computefake.VirtualMachinesServer{NewListAllPager: func(*armcompute.VirtualMachinesClientListAllOptions) fake.PagerResponder[armcompute.VirtualMachinesClientListAllResponse] {
			entries, next := cut(a, asked, once(a, asked.Subscription, asked.API, func() []*armcompute.VirtualMachine { return a.listVMs(asked) }))
			return page(armcompute.VirtualMachinesClientListAllResponse{VirtualMachineListResult: armcompute.VirtualMachineListResult{Value: entries, NextLink: next}})
		}})
	case ScaleSets:
		return computefake.NewVirtualMachineScaleSetsServerTransport(&computefake.VirtualMachineScaleSetsServer{NewListAllPager: func(*armcompute.VirtualMachineScaleSetsClientListAllOptions) fake.PagerResponder[armcompute.VirtualMachineScaleSetsClientListAllResponse] {
			entries, next := cut(a, asked, a.listSets(asked))
			return page(armcompute.VirtualMachineScaleSetsClientListAllResponse{VirtualMachineScaleSetListWithLinkResult: armcompute.VirtualMachineScaleSetListWithLinkResult{Value: entries, NextLink: next}})
		}})
	case Instances:
		return computefake.NewVirtualMachineScaleSetVMsServerTransport(&computefake.VirtualMachineScaleSetVMsServer{NewListPager: func(string, string, *armcompute.VirtualMachineScaleSetVMsClientListOptions) fake.PagerResponder[armcompute.VirtualMachineScaleSetVMsClientListResponse] {
			instances, _, _, is := a.inSet(asked)
			if !is {
				return missing[armcompute.VirtualMachineScaleSetVMsClientListResponse]()
			}
			entries, next := cut(a, asked, instances)
			return page(armcompute.VirtualMachineScaleSetVMsClientListResponse{VirtualMachineScaleSetVMListResult: armcompute.VirtualMachineScaleSetVMListResult{Value: entries, NextLink: next}})
		}})
	case Graph:
		return graphfake.NewServerTransport(&graphfake.Server{Resources: a.query})
	default:
		return a.networkTransport(asked)
	}
}

func (a *Azure) networkTransport(asked Request) policy.Transporter {
	switch asked.API {
	case Interfaces:
		return networkfake.NewInterfacesServerTransport(&networkfake.InterfacesServer{NewListAllPager: func(*armnetwork.InterfacesClientListAllOptions) fake.PagerResponder[armnetwork.InterfacesClientListAllResponse] {
			entries, next := cut(a, asked, once(a, asked.Subscription, asked.API, func() []*armnetwork.Interface {
				nics, _ := a.listInterfaces(asked)
				return nics
			}))
			return page(armnetwork.InterfacesClientListAllResponse{InterfaceListResult: armnetwork.InterfaceListResult{Value: entries, NextLink: next}})
		}})
	case PublicIPs:
		return networkfake.NewPublicIPAddressesServerTransport(&networkfake.PublicIPAddressesServer{NewListAllPager: func(*armnetwork.PublicIPAddressesClientListAllOptions) fake.PagerResponder[armnetwork.PublicIPAddressesClientListAllResponse] {
			_, public := a.listInterfaces(asked)
			entries, next := cut(a, asked, public)
			return page(armnetwork.PublicIPAddressesClientListAllResponse{PublicIPAddressListResult: armnetwork.PublicIPAddressListResult{Value: entries, NextLink: next}})
		}})
	case InstanceNICs:
		return networkfake.NewInterfacesServerTransport(&networkfake.InterfacesServer{NewListVirtualMachineScaleSetNetworkInterfacesPager: func(string, string, *armnetwork.InterfacesClientListVirtualMachineScaleSetNetworkInterfacesOptions) fake.PagerResponder[armnetwork.InterfacesClientListVirtualMachineScaleSetNetworkInterfacesResponse] {
			_, nics, _, is := a.inSet(asked)
			if !is {
				return missing[armnetwork.InterfacesClientListVirtualMachineScaleSetNetworkInterfacesResponse]()
			}
			entries, next := cut(a, asked, nics)
			return page(armnetwork.InterfacesClientListVirtualMachineScaleSetNetworkInterfacesResponse{InterfaceListResult: armnetwork.InterfaceListResult{Value: entries, NextLink: next}})
		}})
	default:
		return networkfake.NewPublicIPAddressesServerTransport(&networkfake.PublicIPAddressesServer{NewListVirtualMachineScaleSetPublicIPAddressesPager: func(string, string, *armnetwork.PublicIPAddressesClientListVirtualMachineScaleSetPublicIPAddressesOptions) fake.PagerResponder[armnetwork.PublicIPAddressesClientListVirtualMachineScaleSetPublicIPAddressesResponse] {
			_, _, public, is := a.inSet(asked)
			if !is {
				return missing[armnetwork.PublicIPAddressesClientListVirtualMachineScaleSetPublicIPAddressesResponse]()
			}
			entries, next := cut(a, asked, public)
			return page(armnetwork.PublicIPAddressesClientListVirtualMachineScaleSetPublicIPAddressesResponse{PublicIPAddressListResult: armnetwork.PublicIPAddressListResult{Value: entries, NextLink: next}})
		}})
	}
}

func page[T any](one T) fake.PagerResponder[T] {
	out := fake.PagerResponder[T]{}
	out.AddPage(http.StatusOK, one, nil)
	return out
}

func missing[T any]() fake.PagerResponder[T] {
	out := fake.PagerResponder[T]{}
	out.AddResponseError(http.StatusNotFound, "ResourceNotFound")
	return out
}

// cut gives the page that is asked for, and where the next one is.
func cut[T any](a *Azure, asked Request, all []T) (entries []T, next *string) {
	a.mu.Lock()
	size := a.pageSize
	a.mu.Unlock()
	if all == nil {
		all = []T{} // a list is always there
	}
	from := min((asked.Page-1)*size, len(all))
	end := min(from+size, len(all))
	if end == len(all) {
		return all[from:end], nil
	}
	path := "/subscriptions/" + asked.Subscription + "/providers/"
	if asked.ScaleSet != "" {
		path = setID(asked.Subscription, asked.Group, asked.ScaleSet) + "/"
	}
	if asked.API == InstanceNICs {
		path = strings.Replace(path, "Microsoft.Compute", "microsoft.Compute", 1) // the SDK's servers have it so
	}
	query := url.Values{"$skiptoken": {strconv.Itoa(asked.Page + 1)}, "api-version": {"2026-01-01"}}
	if asked.API == VMStatus {
		query.Set("statusOnly", "true")
	}
	kind := map[string]string{
		VMs: "Microsoft.Compute/virtualMachines", VMStatus: "Microsoft.Compute/virtualMachines", ScaleSets: "Microsoft.Compute/virtualMachineScaleSets",
		Interfaces: "Microsoft.Network/networkInterfaces", PublicIPs: "Microsoft.Network/publicIPAddresses",
		Instances: "virtualMachines", InstanceNICs: "networkInterfaces", InstancePublic: "publicipaddresses",
	}[asked.API]
	return all[from:end], to.Ptr(a.URL + path + kind + "?" + query.Encode())
}

// oneVM answers who asks for a machine by its ID.
func (a *Azure) oneVM(asked Request) (out fake.Responder[armcompute.VirtualMachinesClientGetResponse], failed fake.ErrorResponder) {
	a.mu.Lock()
	defer a.mu.Unlock()
	vm, is := a.vms[key(asked.Subscription, asked.Group, asked.Name)]
	switch {
	case is:
		out.SetResponse(http.StatusOK, armcompute.VirtualMachinesClientGetResponse{VirtualMachine: *vm.model(false)}, nil)
	case a.something(asked.Subscription, asked.Group):
		failed.SetResponseError(http.StatusNotFound, "ResourceNotFound")
	default:
		failed.SetResponseError(http.StatusNotFound, "ResourceGroupNotFound")
	}
	return out, failed
}

// something says whether anything is in a resource group; a.mu is held.
func (a *Azure) something(subscription, in string) bool {
	for _, vm := range a.vms {
		if key(vm.Subscription, vm.Group) == key(subscription, in) {
			return true
		}
	}
	for _, set := range a.sets {
		if key(set.Subscription, set.Group) == key(subscription, in) {
			return true
		}
	}
	return false
}

func (a *Azure) listVMs(asked Request) []*armcompute.VirtualMachine {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := []*armcompute.VirtualMachine{}
	for _, vm := range a.sortedVMs(asked.Subscription) {
		if a.listed(asked.API, vm.id()) {
			out = append(out, vm.model(asked.API == VMStatus))
		}
	}
	return out
}

func (a *Azure) listSets(asked Request) []*armcompute.VirtualMachineScaleSet {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := []*armcompute.VirtualMachineScaleSet{}
	for _, set := range a.sortedSets(asked.Subscription) {
		if a.listed(asked.API, set.id()) {
			out = append(out, set.model())
		}
	}
	return out
}

func (a *Azure) listInterfaces(asked Request) (nics []*armnetwork.Interface, public []*armnetwork.PublicIPAddress) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, vm := range a.sortedVMs(asked.Subscription) {
		more, ips := interfaces(&vm, vm.id(), vm.nicID)
		nics, public = append(nics, more...), append(public, ips...)
	}
	nics = slices.DeleteFunc(nics, func(n *armnetwork.Interface) bool { return !a.listed(Interfaces, *n.ID) })
	public = slices.DeleteFunc(public, func(p *armnetwork.PublicIPAddress) bool { return !a.listed(PublicIPs, *p.ID) })
	return nics, public
}

// inSet is what is in a uniform scale set.
func (a *Azure) inSet(asked Request) (vms []*armcompute.VirtualMachineScaleSetVM, nics []*armnetwork.Interface, public []*armnetwork.PublicIPAddress, is bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	set, is := a.sets[key(asked.Subscription, asked.Group, asked.ScaleSet)]
	for i := range set.Instances {
		vm := &set.Instances[i]
		if !a.listed(asked.API, set.instanceID(vm)) {
			continue
		}
		more, ips := interfaces(vm, set.instanceID(vm), func(j int) string { return set.nicID(vm, j) })
		vms, nics, public = append(vms, set.instance(vm)), append(nics, more...), append(public, ips...)
	}
	return vms, nics, public, is
}
