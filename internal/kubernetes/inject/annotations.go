package inject

import (
	"maps"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/internal/kubernetes/v1alpha1"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// What owners of pods write.
const (
	InjectLabel             = v1alpha1.Prefix + "inject" // label of a namespace ("enabled") or a pod ("true", "false")
	ServiceKey              = v1alpha1.ServiceKey
	AppPortKey              = v1alpha1.Prefix + "app-port"
	InterceptionKey         = v1alpha1.Prefix + "interception"
	OutsideKey              = v1alpha1.Prefix + "outside"
	DNSKey                  = v1alpha1.Prefix + "dns"
	ExcludeOutboundPortsKey = v1alpha1.Prefix + "exclude-outbound-ports"
	ExcludeOutboundCIDRsKey = v1alpha1.Prefix + "exclude-outbound-cidrs"
	CPUKey                  = v1alpha1.Prefix + "proxy-cpu"
	CPULimitKey             = v1alpha1.Prefix + "proxy-cpu-limit"
	MemoryKey               = v1alpha1.Prefix + "proxy-memory"
	MemoryLimitKey          = v1alpha1.Prefix + "proxy-memory-limit"
	LogLevelKey             = v1alpha1.Prefix + "log-level"
	DrainKey                = v1alpha1.Prefix + "drain"
)

// What the injector writes, beside ServiceKey.
const (
	StatusKey      = v1alpha1.Prefix + "injected"     // the version of what was injected
	InboundPortKey = v1alpha1.Prefix + "inbound-port" // where the pod takes calls of the mesh
	BeforeKey      = v1alpha1.Prefix + "before"       // what of the pod was changed, as JSON
	NotInjectedKey = v1alpha1.Prefix + "not-injected" // why the pod has no sidecar, although its namespace is to have them
)

// Version of what is injected: raised when injected pods differ in what they can do.
const Version = "v1"

// read lists the annotations that are read, for those that nobody reads.
var read = []string{
	ServiceKey, AppPortKey, InterceptionKey, OutsideKey, DNSKey, ExcludeOutboundPortsKey, ExcludeOutboundCIDRsKey,
	CPUKey, CPULimitKey, MemoryKey, MemoryLimitKey, LogLevelKey, DrainKey, StatusKey, InboundPortKey, BeforeKey, NotInjectedKey,
}

// unread warns of annotations with our prefix that mean nothing: mostly misspelt.
func unread(annotations map[string]string) []string {
	var warnings []string
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if !strings.HasPrefix(key, v1alpha1.Prefix) || slices.Contains(read, key) {
			continue
		}
		warning := "annotation " + key + " means nothing to Heddle"
		if key == InjectLabel {
			warnings = append(warnings, warning+": it is a label")
			continue
		}
		if meant := mesh.Similar(key, slices.Values(read)); meant != "" {
			warning += ": did you mean " + meant + "?"
		}
		warnings = append(warnings, warning)
	}
	return warnings
}
