package azuretest

import (
	"strings"
)

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
