package mesh

import (
	"slices"
	"time"
)

// VMList is all virtual machines as of one snapshot.
type VMList struct {
	LastUpdate      *time.Time `json:"last_update" nullable:"true" doc:"When the latest refreshes began after which all of every source was known: no machine is older news than that. null: not every source has been listed as a whole yet, or there is none."`
	TotalVMs        int        `json:"total_vms" doc:"How many machines follow."`
	SnapshotVersion int64      `json:"snapshot_version" doc:"Grows with each change of any machine, and is the same on every server; 0: there has never been one."`
	VMs             []ListedVM `json:"vms" nullable:"false" doc:"By source and ID."`
}

// ListedVM is a machine and what becomes of it in the mesh.
type ListedVM struct {
	VM
	Service   ServiceName `json:"service" doc:"The service that it is an instance of, the first if there are several; empty: of none."`
	Services  []VMPlace   `json:"services" nullable:"false" doc:"All instances that it is."`
	NotPlaced []string    `json:"not_placed,omitempty" doc:"Why it is not an instance of what its tags name, or of anything."`
}

// VMPlace is an instance that a machine is.
type VMPlace struct {
	Service  ServiceName `json:"service" doc:"Of which service."`
	Instance InstanceID  `json:"instance" doc:"The instance's ID."`
	Port     Port        `json:"port" doc:"The port by which it is called."`
}

// Discovery is how all sources of virtual machines do.
type Discovery struct {
	Server  string            `json:"server" doc:"Which server refreshes them; empty: none does."`
	Sources []DiscoveryReport `json:"sources" nullable:"false" doc:"By name."`
	// Concerns are of the server that was asked, which others cannot see.
	Concerns []DiscoveryConcern `json:"concerns" nullable:"false" doc:"What is wrong with the sources in the settings of the server that was asked: they differ from those of the server that refreshes, or events cannot be taken. Others are asked for theirs."`
}

// DiscoveryConcern is something wrong with a source in the settings of one server.
type DiscoveryConcern struct {
	Source  string `json:"source" doc:"The source." example:"azure-prod"`
	Server  string `json:"server" doc:"Whose settings."`
	Message string `json:"message" doc:"What is wrong, and what to do."`
}

// DiscoveryAsked is that a source was asked to be refreshed.
type DiscoveryAsked struct {
	Source string `json:"source" doc:"The source."`
	Asked  int64  `json:"asked" doc:"Which request this is: it is done once the source's answered is as high."`
}

// DiscoveryReport is how a source does, and which of its machines are instances of nothing.
type DiscoveryReport struct {
	DiscoverySource
	Refreshed    bool        `json:"refreshed" doc:"Whether a server refreshes it now. If not: no server is at work that has it in its settings, and what was known stays until somebody forgets the source (DELETE)."`
	Failing      string      `json:"failing,omitempty" doc:"What is wrong with it, in one line."`
	Stale        []string    `json:"stale" nullable:"false" doc:"The scopes whose machines have not been confirmed for longer than stale_after: what was known of them stays until it is listed again, or somebody forgets it (DELETE with scope)."`
	Skipped      []SkippedVM `json:"skipped" nullable:"false" doc:"The machines that are instances of nothing, by name: the first 1,000."`
	SkippedTotal int         `json:"skipped_total" doc:"How many there are."`
}

// SkippedVM is a machine that is an instance of nothing.
type SkippedVM struct {
	ID      string   `json:"id" doc:"Unique in its source."`
	Name    string   `json:"name" doc:"What people call it."`
	Reasons []string `json:"reasons" nullable:"false" doc:"Why it is an instance of nothing, and what is wrong with it."`
}

// Fault says in one line what is wrong with a source, or "".
func (s *DiscoverySource) Fault() string {
	if s.Error != "" {
		return s.Error
	}
	for _, scope := range s.Scopes {
		if scope.Error != "" && scope.Name != "" {
			return scope.Name + ": " + scope.Fault()
		}
		if scope.Error != "" {
			return scope.Fault()
		}
	}
	return ""
}

// Kept says of a source that has a fault why what was known of it stays: some of it could
// not be listed, or all was and lacks machines that may not be gone.
func (s *DiscoverySource) Kept() string {
	failed := func(scope DiscoveryScope) bool { return scope.Error != "" && scope.Held == 0 }
	if s.Error != "" || slices.ContainsFunc(s.Scopes, failed) {
		return "it could not be listed as a whole, and what was known of it stays"
	}
	return "it lacks machines that it had, and they stay until it is sure that they are gone"
}

// Fault says what is wrong with a scope, and until when it is left alone; or "".
func (s *DiscoveryScope) Fault() string {
	if s.NotBefore.IsZero() {
		return s.Error
	}
	return s.Error + "; it is asked again at " + s.NotBefore.UTC().Format(time.RFC3339) + ", as it wants"
}
