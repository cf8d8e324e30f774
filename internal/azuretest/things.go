package azuretest

import (
	"strings"
)

// VM is a virtual machine, or an instance of a uniform scale set.
type VM struct {
	Subscription, Group, Name string // of an instance only Name is looked at, which is its number
	Location, Zone            string // default westeurope, none
	Tags                      map[string]string
	Power                     string // such as running; default running; "-": nothing is said of it
	Health                    string // such as healthy; empty: nobody looks
	Provisioning              string // default Succeeded
	AvailabilitySet           string // its name
	ScaleSet                  string // the name of the flexible scale set that it is in
	NICs                      []NIC
}

// NIC is a network interface of a machine.
type NIC struct {
	Name    string // default the machine's and a number
	Group   string // default the machine's
	Primary bool   // as the machine says; with one interface it need not be said
	Configs []IP
	Missing bool // the machine names it, and there is none
}

// IP is an IP configuration.
type IP struct {
	Private, Public string // an address, or empty
	Primary         bool   // with one it need not be said
	Dangling        bool   // it names a public address that is not there
}

// Address makes an interface with one address, and a public one if it is not empty.
func Address(private, public string) NIC {
	return NIC{Configs: []IP{{Private: private, Public: public, Primary: true}}}
}

// ScaleSet is a scale set. A flexible one's machines are [VM]s of their own.
type ScaleSet struct {
	Subscription, Group, Name string
	Location                  string
	Tags                      map[string]string
	Flexible                  bool
	Instances                 []VM // of a uniform one
}

// Put adds a machine, or replaces the one of its name.
func (a *Azure) Put(vms ...VM) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, vm := range vms {
		a.changed(vm.Subscription)
		a.vms[key(vm.Subscription, vm.Group, vm.Name)] = vm
	}
}

// Delete takes a machine away with its interfaces.
func (a *Azure) Delete(subscription, group, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changed(subscription)
	delete(a.vms, key(subscription, group, name))
}

// Change changes a machine that there is.
func (a *Azure) Change(subscription, group, name string, change func(*VM)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changed(subscription)
	at := key(subscription, group, name)
	vm, is := a.vms[at]
	if !is {
		panic("there is no machine " + at)
	}
	change(&vm)
	a.vms[at] = vm
}

// PutScaleSet adds a scale set, or replaces the one of its name.
func (a *Azure) PutScaleSet(sets ...ScaleSet) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, set := range sets {
		a.changed(set.Subscription)
		a.sets[key(set.Subscription, set.Group, set.Name)] = set
	}
}

// DeleteScaleSet takes a scale set away.
func (a *Azure) DeleteScaleSet(subscription, group, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changed(subscription)
	delete(a.sets, key(subscription, group, name))
}

// changed forgets what was made of subscriptions, or of all; a.mu is held.
func (a *Azure) changed(subscriptions ...string) {
	a.version++
	if len(subscriptions) == 0 {
		clear(a.made)
	}
	for _, one := range append(subscriptions, "") {
		delete(a.made, strings.ToLower(one))
	}
}

// once makes something of a subscription, or gives what was made since anything changed
// there: a test with ten thousand machines would else make all of them for each page.
func once[T any](a *Azure, subscription, of string, makeIt func() T) T {
	subscription = strings.ToLower(subscription)
	a.mu.Lock()
	version := a.version
	if made, is := a.made[subscription][of].(T); is {
		a.mu.Unlock()
		return made
	}
	a.mu.Unlock()
	made := makeIt()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.version == version {
		if a.made[subscription] == nil {
			a.made[subscription] = map[string]any{}
		}
		a.made[subscription][of] = made
	}
	return made
}
