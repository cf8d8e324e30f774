package azure

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9"
	"golang.org/x/sync/errgroup"
)

// byARM lists subscriptions by Resource Manager's lists of each kind.
func (s *Source) byARM(ctx context.Context, subscriptions []Subscription) []part {
	return each(subscriptions, func(one Subscription) (found, error) {
		ctx, cancel := context.WithTimeout(ctx, listTime)
		defer cancel()
		return s.subscription(ctx, one.ID)
	})
}

// clients are those of a subscription.
type clients struct {
	machines  *armcompute.VirtualMachinesClient
	sets      *armcompute.VirtualMachineScaleSetsClient
	instances *armcompute.VirtualMachineScaleSetVMsClient
	nics      *armnetwork.InterfacesClient
	public    *armnetwork.PublicIPAddressesClient
}

// clientsOf makes them, or gives those that were made.
func (s *Source) clientsOf(subscription string) (c clients, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, is := s.clients[subscription]; is {
		return c, nil
	}
	compute, err := armcompute.NewClientFactory(subscription, s.login, s.options)
	if err != nil {
		return c, err
	}
	network, err := armnetwork.NewClientFactory(subscription, s.login, s.options)
	if err != nil {
		return c, err
	}
	c = clients{
		machines: compute.NewVirtualMachinesClient(), sets: compute.NewVirtualMachineScaleSetsClient(), instances: compute.NewVirtualMachineScaleSetVMsClient(),
		nics: network.NewInterfacesClient(), public: network.NewPublicIPAddressesClient(),
	}
	s.clients[subscription] = c
	return c, nil
}

// subscription lists one. The kinds are asked for at once; the first that fails ends the
// others, because nothing of the subscription is believed then.
func (s *Source) subscription(ctx context.Context, subscription string) (found, error) {
	c, err := s.clientsOf(subscription)
	if err != nil {
		return found{}, err
	}
	var machines, views []*armcompute.VirtualMachine
	var nics []*armnetwork.Interface
	var public []*armnetwork.PublicIPAddress
	var sets *setList
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		machines, err = pages(ctx, "list virtual machines", c.machines.NewListAllPager(nil), func(p armcompute.VirtualMachinesClientListAllResponse) []*armcompute.VirtualMachine { return p.Value })
		return err
	})
	group.Go(func() (err error) {
		views, err = pages(ctx, "list what virtual machines do", c.machines.NewListAllPager(&armcompute.VirtualMachinesClientListAllOptions{StatusOnly: to.Ptr("true")}), func(p armcompute.VirtualMachinesClientListAllResponse) []*armcompute.VirtualMachine { return p.Value })
		return err
	})
	group.Go(func() (err error) {
		nics, err = pages(ctx, "list network interfaces", c.nics.NewListAllPager(nil), func(p armnetwork.InterfacesClientListAllResponse) []*armnetwork.Interface { return p.Value })
		return err
	})
	group.Go(func() (err error) {
		public, err = pages(ctx, "list public addresses", c.public.NewListAllPager(nil), func(p armnetwork.PublicIPAddressesClientListAllResponse) []*armnetwork.PublicIPAddress {
			return p.Value
		})
		return err
	})
	group.Go(func() (err error) {
		sets, err = s.uniformSets(ctx, c)
		return err
	})
	if err := group.Wait(); err != nil {
		return found{}, err
	}
	out := found{nics: map[string]nic{}, public: map[string]string{}, sets: sets.whole}
	out.addNICs(nics)
	out.addPublic(public)
	states := make(map[string]*armcompute.VirtualMachineInstanceView, len(views))
	for _, one := range views {
		if one != nil && one.Properties != nil {
			states[id(text(one.ID))] = one.Properties.InstanceView
		}
	}
	for _, one := range machines {
		if one != nil && text(one.ID) != "" {
			view, is := states[id(*one.ID)]
			m := ofMachine(one, view)
			m.unseen = !is
			out.machines = append(out.machines, m)
		}
	}
	for _, set := range sets.uniform {
		out.addNICs(set.nics)
		out.addPublic(set.public)
		out.machines = append(out.machines, set.machines()...)
	}
	return out, nil
}

// pages reads a list to its end.
func pages[P, T any](ctx context.Context, what string, pager *runtime.Pager[P], entries func(P) []T) ([]T, error) {
	var out []T
	for pager.More() {
		page, err := pager.NextPage(ctx)
		if err != nil {
			if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.DeadlineExceeded) {
				return nil, cause // another list has failed: that is what is told
			}
			return nil, told(what, err)
		}
		more := entries(page)
		if more == nil {
			return nil, fmt.Errorf("%s: an answer has no list in it", what)
		}
		out = append(out, more...)
	}
	return out, nil
}

// uniformSet is a scale set whose machines are in no other list.
type uniformSet struct {
	set       *armcompute.VirtualMachineScaleSet
	instances []*armcompute.VirtualMachineScaleSetVM
	nics      []*armnetwork.Interface
	public    []*armnetwork.PublicIPAddress
}

// setList is what is known of a subscription's uniform scale sets: those that are selected,
// and the IDs of all that nothing is hidden of.
type setList struct {
	uniform []*uniformSet
	whole   map[string]bool
}

// uniformSets lists the uniform scale sets, and what is in each that is selected.
func (s *Source) uniformSets(ctx context.Context, c clients) (*setList, error) {
	all, err := pages(ctx, "list scale sets", c.sets.NewListAllPager(nil), func(p armcompute.VirtualMachineScaleSetsClientListAllResponse) []*armcompute.VirtualMachineScaleSet {
		return p.Value
	})
	if err != nil {
		return nil, err
	}
	out := &setList{whole: map[string]bool{}}
	group, ctx := errgroup.WithContext(ctx)
	for _, one := range all {
		if one == nil || text(one.ID) == "" || flexible(one) {
			continue
		}
		out.whole[id(*one.ID)] = true
		if !selected(texts(one.Tags), s.cfg.Select) {
			continue
		}
		set := &uniformSet{set: one}
		out.uniform = append(out.uniform, set)
		group.Go(func() error { return set.list(ctx, c) })
	}
	return out, group.Wait()
}

func flexible(set *armcompute.VirtualMachineScaleSet) bool {
	return set.Properties != nil && set.Properties.OrchestrationMode != nil && *set.Properties.OrchestrationMode == armcompute.OrchestrationModeFlexible
}

// list asks for the set's instances and interfaces at once, and for public addresses if
// there are any. A set that was deleted meanwhile has none.
func (u *uniformSet) list(ctx context.Context, c clients) error {
	in, name := groupOf(id(*u.set.ID)), text(u.set.Name)
	gone := false
	group, under := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		u.instances, err = pages(under, "list the machines of scale set "+name, c.instances.NewListPager(in, name, &armcompute.VirtualMachineScaleSetVMsClientListOptions{Expand: to.Ptr("instanceView")}), func(p armcompute.VirtualMachineScaleSetVMsClientListResponse) []*armcompute.VirtualMachineScaleSetVM {
			return p.Value
		})
		gone = notThere(err)
		return err
	})
	group.Go(func() (err error) {
		u.nics, err = pages(under, "list the network interfaces of scale set "+name, c.nics.NewListVirtualMachineScaleSetNetworkInterfacesPager(in, name, nil), func(p armnetwork.InterfacesClientListVirtualMachineScaleSetNetworkInterfacesResponse) []*armnetwork.Interface {
			return p.Value
		})
		return err
	})
	err := group.Wait()
	if err == nil && anyPublic(u.nics) {
		u.public, err = pages(ctx, "list the public addresses of scale set "+name, c.public.NewListVirtualMachineScaleSetPublicIPAddressesPager(in, name, nil), func(p armnetwork.PublicIPAddressesClientListVirtualMachineScaleSetPublicIPAddressesResponse) []*armnetwork.PublicIPAddress {
			return p.Value
		})
	}
	if gone { // that an interface or an address is not there says nothing of the machines
		u.instances, err = nil, nil
	}
	return err
}

func anyPublic(nics []*armnetwork.Interface) bool {
	for _, one := range nics {
		for _, config := range ofNIC(one).configs {
			if config.public != "" {
				return true
			}
		}
	}
	return false
}

// machines are the set's. They have its tags, unless they have others.
func (u *uniformSet) machines() []machine {
	var out []machine
	for _, one := range u.instances {
		if one == nil || text(one.ID) == "" {
			continue
		}
		m := ofInstance(one)
		m.scaleSet = text(u.set.Name)
		m.tags = inherited(texts(u.set.Tags), m.tags)
		out = append(out, m)
	}
	return out
}

// groupOf takes a resource's group from its ID, as id makes it; "" if there is none.
func groupOf(of string) string {
	parts := strings.Split(of, "/")
	if len(parts) < 4 || parts[2] != "resourcegroups" {
		return ""
	}
	return parts[3]
}
