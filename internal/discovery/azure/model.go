package azure

import (
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9"
)

// Nothing in Azure's models is sure to be there.

func text(of *string) string {
	if of == nil {
		return ""
	}
	return *of
}

func is(of *bool) bool { return of != nil && *of }

func texts(of map[string]*string) map[string]string {
	out := make(map[string]string, len(of))
	for key, value := range of {
		out[key] = text(value)
	}
	return out
}

func firstOf(of []*string) string {
	if len(of) == 0 {
		return ""
	}
	return text(of[0])
}

// code takes the last part of PowerState/running, in lower case, if it begins as wanted.
func code(of, kind string) string {
	before, after, _ := strings.Cut(strings.ToLower(of), "/")
	if before != kind {
		return ""
	}
	return after
}

func power(statuses []*armcompute.InstanceViewStatus) string {
	for _, one := range statuses {
		if one != nil {
			if power := code(text(one.Code), "powerstate"); power != "" {
				return power
			}
		}
	}
	return ""
}

func healthOf(of *armcompute.VirtualMachineHealthStatus) string {
	if of == nil || of.Status == nil {
		return ""
	}
	return code(text(of.Status.Code), "healthstate")
}

func refs(profile *armcompute.NetworkProfile) []nicRef {
	if profile == nil {
		return nil
	}
	var out []nicRef
	for _, one := range profile.NetworkInterfaces {
		if one != nil && text(one.ID) != "" {
			out = append(out, nicRef{id: id(*one.ID), primary: one.Properties != nil && is(one.Properties.Primary)})
		}
	}
	return out
}

// ofMachine reads a machine; its view is nil if it was in none.
func ofMachine(vm *armcompute.VirtualMachine, view *armcompute.VirtualMachineInstanceView) machine {
	m := machine{id: id(*vm.ID), name: text(vm.Name), region: text(vm.Location), zone: firstOf(vm.Zones), tags: texts(vm.Tags)}
	if p := vm.Properties; p != nil {
		m.provisioning = strings.ToLower(text(p.ProvisioningState))
		m.nics = refs(p.NetworkProfile)
		if p.VirtualMachineScaleSet != nil {
			m.scaleSet = nameOf(text(p.VirtualMachineScaleSet.ID))
		}
	}
	if view != nil {
		m.power, m.health = power(view.Statuses), healthOf(view.VMHealth)
	}
	return m
}

// ofInstance reads a machine of a uniform scale set.
func ofInstance(vm *armcompute.VirtualMachineScaleSetVM) machine {
	m := machine{id: id(*vm.ID), name: text(vm.Name), region: text(vm.Location), zone: firstOf(vm.Zones), tags: texts(vm.Tags)}
	if p := vm.Properties; p != nil {
		m.provisioning = strings.ToLower(text(p.ProvisioningState))
		m.nics = refs(p.NetworkProfile)
		if view := p.InstanceView; view != nil {
			m.power, m.health = power(view.Statuses), healthOf(view.VMHealth)
		}
	}
	return m
}

// nameOf is the last part of an ID.
func nameOf(of string) string { return of[strings.LastIndex(of, "/")+1:] }

func ofNIC(of *armnetwork.Interface) nic {
	if of == nil || of.Properties == nil {
		return nic{}
	}
	out := nic{primary: is(of.Properties.Primary)}
	for _, one := range of.Properties.IPConfigurations {
		if one == nil || one.Properties == nil {
			continue
		}
		config := ipConfig{private: text(one.Properties.PrivateIPAddress), primary: is(one.Properties.Primary)}
		if one.Properties.PublicIPAddress != nil {
			config.public = id(text(one.Properties.PublicIPAddress.ID))
		}
		out.configs = append(out.configs, config)
	}
	return out
}

func (f *found) addNICs(nics []*armnetwork.Interface) {
	for _, one := range nics {
		if one != nil {
			f.nics[id(text(one.ID))] = ofNIC(one)
		}
	}
}

func (f *found) addPublic(public []*armnetwork.PublicIPAddress) {
	for _, one := range public {
		if one != nil && one.Properties != nil {
			f.public[id(text(one.ID))] = text(one.Properties.IPAddress)
		}
	}
}
