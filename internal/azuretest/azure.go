package azuretest

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
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

// Request is what was asked.
type Request struct {
	API          string // one of the constants
	Subscription string // empty of Graph
	Group        string // of what is listed by group
	ScaleSet     string
	Name         string // of a machine that is asked for by its ID
	Page         int    // from 1
	Query        string
}

// What can be asked.
const (
	VMs            = "vms"
	VMStatus       = "vm status"
	Interfaces     = "interfaces"
	PublicIPs      = "public ips"
	ScaleSets      = "scale sets"
	OneVM          = "one vm"
	Instances      = "instances"
	InstanceNICs   = "instance interfaces"
	InstancePublic = "instance public ips"
	Graph          = "graph"
	Token          = "token"
	Other          = "other"
)

// Failure is an answer in place of the true one.
type Failure struct {
	Status     int
	Code       string // such as TooManyRequests
	RetryAfter time.Duration
	Header     http.Header
	Body       string // in place of Azure's error
	Hang       bool   // until the caller gives up
}

// Azure is one; make it with [New].
type Azure struct {
	URL string

	mu       sync.Mutex // guards what follows
	vms      map[string]VM
	sets     map[string]ScaleSet
	groups   map[string]bool           // what the caller may read; nil: all
	omit     func(api, id string) bool // what lists leave out
	fail     func(Request) *Failure
	before   func(Request)
	calls    map[string]int
	pageSize int
	token    int // which token is valid; 0: any
	issued   int
	version  int                       // of what is there
	made     map[string]map[string]any // what was made of it since it changed, by subscription ("": of several) and what it is
	answered []time.Time
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

// New starts one that is empty, and ends it with the test.
func New(t testing.TB) *Azure {
	t.Helper()
	a := &Azure{vms: map[string]VM{}, sets: map[string]ScaleSet{}, calls: map[string]int{}, made: map[string]map[string]any{}, pageSize: 100}
	server := httptest.NewServer(http.HandlerFunc(a.serve))
	t.Cleanup(server.Close)
	a.URL = server.URL
	return a
}

// Settings are those of a source that asks it, without its name and subscriptions.
func (a *Azure) Settings() string {
	return "{auth: managedIdentity, cloud: custom, resourceManager: \"" + a.URL + "\", audience: \"https://management.azure.com\", authorityHost: \"https://login.microsoftonline.com/\"}"
}

// Env is what the environment of a process wants so that its managed identity is had from here.
func (a *Azure) Env() map[string]string {
	return map[string]string{"IDENTITY_ENDPOINT": a.URL + "/msi/token", "IDENTITY_HEADER": "azuretest"}
}

func key(parts ...string) string { return strings.ToLower(strings.Join(parts, "/")) }

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

// Show says which resource groups the caller may read, as "subscription/group", and which
// subscriptions; without any: all. As Azure's do, lists and Resource Graph leave out what is
// in others, as if it were not there, and who asks for one of these is refused.
func (a *Azure) Show(groups ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changed()
	a.groups = nil
	if groups == nil {
		return
	}
	a.groups = map[string]bool{}
	for _, group := range groups {
		a.groups[strings.ToLower(group)] = true
	}
}

// Omit has lists leave out what omit says, by the list and the ID in lower case, although it
// is there and may be read. Nil: nothing.
func (a *Azure) Omit(omit func(api, id string) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changed()
	a.omit = omit
}

// may says whether the caller may read what is in a resource group; a.mu is held.
func (a *Azure) may(subscription, group string) bool {
	if a.groups == nil || a.groups[key(subscription, group)] || a.groups[key(subscription)] {
		return true
	}
	for shown := range a.groups { // who may read a group sees its subscription
		if in, _, _ := strings.Cut(shown, "/"); group == "" && in == key(subscription) {
			return true
		}
	}
	return false
}

// listed says whether something is in a list; a.mu is held.
func (a *Azure) listed(api, id string) bool {
	parts := strings.Split(strings.ToLower(id), "/") // "", subscriptions, ..., resourcegroups, ...
	return a.may(parts[2], parts[4]) && (a.omit == nil || !a.omit(api, strings.ToLower(id)))
}

// Fail has what fail gives answered in place of the truth; nil from it: the truth.
func (a *Azure) Fail(fail func(Request) *Failure) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fail = fail
}

// Before is called before a request is answered, and may change what is there.
func (a *Azure) Before(before func(Request)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.before = before
}

// PageSize sets how many entries a page of a list has; default 100, of Resource Graph ten
// times as many.
func (a *Azure) PageSize(size int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changed()
	a.pageSize = size
}

// ExpireTokens has all tokens refused that were handed out, or whose number is below least
// if others hand them out.
func (a *Azure) ExpireTokens(least ...int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.token = slices.Max(append(least, a.issued+1))
}

// Calls gives how often what was asked since the last time, failures included.
func (a *Azure) Calls() map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	calls := a.calls
	a.calls = map[string]int{}
	return calls
}

// Answered says when what was asked since the last time had been answered, in this order.
func (a *Azure) Answered() []time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	answered := a.answered
	a.answered = nil
	return answered
}
