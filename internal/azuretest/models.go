package azuretest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9"
)

// The IDs of things. Azure's APIs do not agree on the case of what is in them: neither do
// these, group writes in capitals what a machine says in its own way.
func group(subscription, name string) string {
	return "/subscriptions/" + subscription + "/resourceGroups/" + name
}

func (v *VM) id() string {
	return group(v.Subscription, v.Group) + "/providers/Microsoft.Compute/virtualMachines/" + v.Name
}

func setID(subscription, in, name string) string {
	return group(subscription, in) + "/providers/Microsoft.Compute/virtualMachineScaleSets/" + name
}

func (s *ScaleSet) id() string { return setID(s.Subscription, s.Group, s.Name) }

func (v *VM) nicID(i int) string {
	name := cmp.Or(v.NICs[i].Name, fmt.Sprintf("%s-nic%d", v.Name, i))
	return group(v.Subscription, cmp.Or(v.NICs[i].Group, v.Group)) + "/providers/Microsoft.Network/networkInterfaces/" + name
}

func (s *ScaleSet) instanceID(vm *VM) string { return s.id() + "/virtualMachines/" + vm.Name }

func (s *ScaleSet) nicID(vm *VM, i int) string {
	return fmt.Sprintf("%s/networkInterfaces/nic%d", s.instanceID(vm), i)
}

func publicID(nic string, config int) string {
	if strings.Contains(nic, "/virtualMachineScaleSets/") {
		return fmt.Sprintf("%s/ipConfigurations/config%d/publicIPAddresses/public", nic, config)
	}
	return strings.Replace(nic, "/networkInterfaces/", "/publicIPAddresses/", 1) + fmt.Sprintf("-ip%d", config)
}

func tags(from map[string]string) map[string]*string {
	out := make(map[string]*string, len(from))
	for key, value := range from {
		out[key] = to.Ptr(value)
	}
	return out
}

func zones(zone string) []*string {
	if zone == "" {
		return nil
	}
	return []*string{to.Ptr(zone)}
}

func (v *VM) profile(nicID func(int) string) *armcompute.NetworkProfile {
	out := &armcompute.NetworkProfile{}
	for i, nic := range v.NICs {
		ref := &armcompute.NetworkInterfaceReference{ID: to.Ptr(nicID(i))}
		if len(v.NICs) > 1 {
			ref.Properties = &armcompute.NetworkInterfaceReferenceProperties{Primary: to.Ptr(nic.Primary)}
		}
		out.NetworkInterfaces = append(out.NetworkInterfaces, ref)
	}
	return out
}

func statuses(power, provisioning string) []*armcompute.InstanceViewStatus {
	out := []*armcompute.InstanceViewStatus{{Code: to.Ptr("ProvisioningState/" + strings.ToLower(cmp.Or(provisioning, "Succeeded")))}}
	if power != "-" {
		out = append(out, &armcompute.InstanceViewStatus{Code: to.Ptr("PowerState/" + cmp.Or(power, "running"))})
	}
	return out
}

func health(of string) *armcompute.VirtualMachineHealthStatus {
	if of == "" {
		return nil
	}
	return &armcompute.VirtualMachineHealthStatus{Status: &armcompute.InstanceViewStatus{Code: to.Ptr("HealthState/" + of)}}
}

// model is a machine as lists have it; its instance view only if that is asked for.
func (v *VM) model(status bool) *armcompute.VirtualMachine {
	out := &armcompute.VirtualMachine{
		ID: to.Ptr(v.id()), Name: to.Ptr(v.Name), Type: to.Ptr("Microsoft.Compute/virtualMachines"), Location: to.Ptr(cmp.Or(v.Location, "westeurope")),
		Tags: tags(v.Tags), Zones: zones(v.Zone),
		Properties: &armcompute.VirtualMachineProperties{ProvisioningState: to.Ptr(cmp.Or(v.Provisioning, "Succeeded")), NetworkProfile: v.profile(v.nicID)},
	}
	if v.AvailabilitySet != "" {
		out.Properties.AvailabilitySet = &armcompute.SubResource{ID: to.Ptr(group(v.Subscription, v.Group) + "/providers/Microsoft.Compute/availabilitySets/" + v.AvailabilitySet)}
	}
	if v.ScaleSet != "" {
		out.Properties.VirtualMachineScaleSet = &armcompute.SubResource{ID: to.Ptr(setID(v.Subscription, v.Group, v.ScaleSet))}
	}
	if status {
		out.ID = to.Ptr(strings.ToUpper(v.id())) // as it is there in truth
		out.Properties.InstanceView = &armcompute.VirtualMachineInstanceView{Statuses: statuses(v.Power, v.Provisioning), VMHealth: health(v.Health)}
	}
	return out
}

func (s *ScaleSet) model() *armcompute.VirtualMachineScaleSet {
	mode := armcompute.OrchestrationModeUniform
	if s.Flexible {
		mode = armcompute.OrchestrationModeFlexible
	}
	return &armcompute.VirtualMachineScaleSet{
		ID: to.Ptr(s.id()), Name: to.Ptr(s.Name), Type: to.Ptr("Microsoft.Compute/virtualMachineScaleSets"), Location: to.Ptr(cmp.Or(s.Location, "westeurope")), Tags: tags(s.Tags),
		Properties: &armcompute.VirtualMachineScaleSetProperties{OrchestrationMode: &mode},
	}
}

func (s *ScaleSet) instance(v *VM) *armcompute.VirtualMachineScaleSetVM {
	out := &armcompute.VirtualMachineScaleSetVM{
		ID: to.Ptr(s.instanceID(v)), Name: to.Ptr(s.Name + "_" + v.Name), InstanceID: to.Ptr(v.Name), Location: to.Ptr(cmp.Or(s.Location, "westeurope")), Tags: tags(v.Tags), Zones: zones(v.Zone),
		Type: to.Ptr("Microsoft.Compute/virtualMachineScaleSets/virtualMachines"),
		Properties: &armcompute.VirtualMachineScaleSetVMProperties{
			ProvisioningState: to.Ptr(cmp.Or(v.Provisioning, "Succeeded")),
			NetworkProfile:    v.profile(func(i int) string { return s.nicID(v, i) }),
		},
	}
	if v.Power != "-" {
		out.Properties.InstanceView = &armcompute.VirtualMachineScaleSetVMInstanceView{Statuses: statuses(v.Power, v.Provisioning), VMHealth: health(v.Health)}
	}
	return out
}

// interfaces are those of a machine that are there, and their public addresses.
func interfaces(v *VM, vmID string, nicID func(int) string) (nics []*armnetwork.Interface, public []*armnetwork.PublicIPAddress) {
	for i, nic := range v.NICs {
		if nic.Missing {
			continue
		}
		out := &armnetwork.Interface{
			ID: to.Ptr(nicID(i)), Type: to.Ptr("Microsoft.Network/networkInterfaces"),
			Properties: &armnetwork.InterfacePropertiesFormat{Primary: to.Ptr(nic.Primary || len(v.NICs) == 1), VirtualMachine: &armnetwork.SubResource{ID: to.Ptr(vmID)}},
		}
		for j, ip := range nic.Configs {
			config := &armnetwork.InterfaceIPConfigurationPropertiesFormat{Primary: to.Ptr(ip.Primary || len(nic.Configs) == 1), PrivateIPAddressVersion: to.Ptr(version(ip.Private))}
			if ip.Private != "" {
				config.PrivateIPAddress = to.Ptr(ip.Private)
			}
			if ip.Public != "" || ip.Dangling {
				config.PublicIPAddress = &armnetwork.PublicIPAddress{ID: to.Ptr(publicID(nicID(i), j))}
			}
			if ip.Public != "" {
				public = append(public, &armnetwork.PublicIPAddress{
					ID: to.Ptr(strings.ToLower(publicID(nicID(i), j))), Type: to.Ptr("Microsoft.Network/publicIPAddresses"),
					Properties: &armnetwork.PublicIPAddressPropertiesFormat{IPAddress: to.Ptr(ip.Public)},
				})
			}
			out.Properties.IPConfigurations = append(out.Properties.IPConfigurations, &armnetwork.InterfaceIPConfiguration{Name: to.Ptr(fmt.Sprintf("config%d", j)), Properties: config})
		}
		nics = append(nics, out)
	}
	return nics, public
}

func version(address string) armnetwork.IPVersion {
	if strings.Contains(address, ":") {
		return armnetwork.IPVersionIPv6
	}
	return armnetwork.IPVersionIPv4
}

// sortedVMs and sortedSets are in the order that lists have them, for as long as nothing changes.
func (a *Azure) sortedVMs(subscription string) []VM {
	var out []VM
	for _, at := range slices.Sorted(maps.Keys(a.vms)) {
		if vm := a.vms[at]; strings.EqualFold(vm.Subscription, subscription) {
			out = append(out, vm)
		}
	}
	return out
}

func (a *Azure) sortedSets(subscription string) []ScaleSet {
	var out []ScaleSet
	for _, at := range slices.Sorted(maps.Keys(a.sets)) {
		if set := a.sets[at]; strings.EqualFold(set.Subscription, subscription) {
			out = append(out, set)
		}
	}
	return out
}
