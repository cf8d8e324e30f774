package inject

import (
	"maps"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Prefix begins every label and annotation of Heddle's.
const Prefix = "heddle.io/"

// What owners of pods write.
const (
	InjectLabel             = Prefix + "inject"  // label of a namespace ("enabled") or a pod ("true", "false")
	ServiceKey              = Prefix + "service" // annotation or label
	AppPortKey              = Prefix + "app-port"
	InterceptionKey         = Prefix + "interception"
	OutsideKey              = Prefix + "outside"
	DNSKey                  = Prefix + "dns"
	ExcludeOutboundPortsKey = Prefix + "exclude-outbound-ports"
	ExcludeOutboundCIDRsKey = Prefix + "exclude-outbound-cidrs"
	CPUKey                  = Prefix + "proxy-cpu"
	CPULimitKey             = Prefix + "proxy-cpu-limit"
	MemoryKey               = Prefix + "proxy-memory"
	MemoryLimitKey          = Prefix + "proxy-memory-limit"
	LogLevelKey             = Prefix + "log-level"
	DrainKey                = Prefix + "drain"
)

// What the injector writes, beside ServiceKey.
const (
	StatusKey      = Prefix + "injected"     // the version of what was injected
	InboundPortKey = Prefix + "inbound-port" // where the pod takes calls of the mesh
	BeforeKey      = Prefix + "before"       // what of the pod was changed, as JSON
	NotInjectedKey = Prefix + "not-injected" // why the pod has no sidecar, although its namespace is to have them
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
		if !strings.HasPrefix(key, Prefix) || slices.Contains(read, key) {
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
