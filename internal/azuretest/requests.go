package azuretest

import (
	"net/http"
	"slices"
	"time"
)

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
