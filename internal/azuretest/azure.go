package azuretest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

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
