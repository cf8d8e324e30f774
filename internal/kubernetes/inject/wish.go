package inject

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// wish is what a pod asks for, by its annotations, labels and ports.
type wish struct {
	service   mesh.ServiceName
	appPort   mesh.Port // 0: it only calls
	intercept bool
	dns       bool   // its queries are redirected
	outside   string // what becomes of connections that nobody declared: pass or deny

	excludePorts []string
	excludeCIDRs []string
	resources    corev1.ResourceRequirements
	logLevel     string
	drain        time.Duration
}

// mostDrain is the longest that an application may be kept running after its end
// was asked for.
const mostDrain = 10 * time.Minute

// wishOf reads a pod's wishes; why is set when there is not enough to go by.
func wishOf(pod *corev1.Pod, settings Settings) (w wish, why string, faults mesh.Faults) {
	r := reader{annotations: pod.Annotations}
	service, from := serviceOf(pod)
	if service == "" {
		return w, fmt.Sprintf("nothing says which service it belongs to: set annotation %s, or label app.kubernetes.io/name or app", ServiceKey), nil
	}
	w.service = mesh.ServiceName(service)
	for _, fault := range (&mesh.Proxy{Service: w.service, Instance: "x"}).Validate() {
		if !strings.Contains(from, ServiceKey) { // it was written for others
			return w, fmt.Sprintf("%s %s: name the service with annotation %s", from, fault.Message, ServiceKey), nil
		}
		r.faults.Add(from, "%s", fault.Message)
	}
	w.intercept = r.choice(InterceptionKey, "on", "on", "off") == "on"
	if w.appPort, why = r.appPort(pod); why != "" {
		return w, why, r.faults
	}
	w.excludePorts = r.list(ExcludeOutboundPortsKey, portFault)
	w.excludeCIDRs = r.list(ExcludeOutboundCIDRsKey, cidrFault)
	w.dns = r.choice(DNSKey, "on", "on", "off") == "on"
	w.outside = r.choice(OutsideKey, "pass", "pass", "deny")
	if !w.intercept && (len(w.excludePorts)+len(w.excludeCIDRs) > 0 || w.outside == "deny") {
		r.faults.Add(metadata(InterceptionKey), "is off, and nothing can be excluded or denied then: leave out %s, %s and %s", ExcludeOutboundPortsKey, ExcludeOutboundCIDRsKey, OutsideKey)
	}
	if w.intercept && len(r.faults) == 0 {
		r.interception(w)
	}
	w.resources = r.resources(settings)
	w.logLevel = r.choice(LogLevelKey, "warning", "trace", "debug", "info", "warning", "error", "critical", "off")
	w.drain = r.drain(settings.Drain)
	return w, "", r.faults
}

// metadata is the path of an annotation, and label that of a label.
func metadata(key string) string { return fmt.Sprintf("metadata.annotations[%s]", key) }
func label(key string) string    { return fmt.Sprintf("metadata.labels[%s]", key) }

// serviceOf says which service a pod belongs to, and which field says so.
func serviceOf(pod *corev1.Pod) (name, from string) {
	if name := pod.Annotations[ServiceKey]; name != "" {
		return name, metadata(ServiceKey)
	}
	for _, key := range []string{ServiceKey, "app.kubernetes.io/name", "app"} {
		if name := pod.Labels[key]; name != "" {
			return name, label(key)
		}
	}
	return "", ""
}

// reader reads annotations and keeps what is wrong with them.
type reader struct {
	annotations map[string]string
	faults      mesh.Faults
}

func (r *reader) fault(key, format string, args ...any) {
	r.faults.Add(metadata(key), format, args...)
}

func (r *reader) choice(key, preset string, choices ...string) string {
	value, set := r.annotations[key]
	if !set {
		return preset
	}
	if !slices.Contains(choices, value) {
		r.fault(key, "%s is not one of %s", short(value), strings.Join(choices, ", "))
		return preset
	}
	return value
}

// list reads values between commas.
func (r *reader) list(key string, fault func(string) string) []string {
	value, set := r.annotations[key]
	if !set {
		return nil
	}
	var all []string
	for one := range strings.SplitSeq(value, ",") {
		one = strings.TrimSpace(one)
		if why := fault(one); why != "" {
			r.fault(key, "%s %s", short(one), why)
			continue
		}
		all = append(all, one)
	}
	if len(all) > 64 {
		r.fault(key, "has %d values; at most 64 are allowed", len(all))
	}
	return all
}

func portFault(value string) string {
	if number, err := strconv.Atoi(value); err != nil || number < 1 || number > 65535 {
		return "is not a port (1 to 65535); several are separated by commas"
	}
	return ""
}

func cidrFault(value string) string {
	if _, err := netip.ParsePrefix(value); err != nil {
		return "is not a network such as 10.0.0.0/8; several are separated by commas"
	}
	return ""
}

func (r *reader) resources(settings Settings) corev1.ResourceRequirements {
	out := corev1.ResourceRequirements{Requests: corev1.ResourceList{}, Limits: corev1.ResourceList{}}
	for _, one := range []struct {
		key, preset string
		of          corev1.ResourceName
		into        corev1.ResourceList
	}{
		{CPUKey, settings.CPU, corev1.ResourceCPU, out.Requests},
		{MemoryKey, settings.Memory, corev1.ResourceMemory, out.Requests},
		{CPULimitKey, settings.CPULimit, corev1.ResourceCPU, out.Limits},
		{MemoryLimitKey, settings.MemoryLimit, corev1.ResourceMemory, out.Limits},
	} {
		value, set := r.annotations[one.key]
		if !set {
			if value = one.preset; value == "" {
				continue
			}
		}
		quantity, err := resource.ParseQuantity(value)
		if err != nil || quantity.Sign() <= 0 {
			r.fault(one.key, "%s is not an amount such as 100m (CPU) or 128Mi (memory)", short(value))
			continue
		}
		one.into[one.of] = quantity
	}
	for name, request := range out.Requests {
		limit, set := out.Limits[name]
		if !set || request.Cmp(limit) <= 0 {
			continue
		}
		key := map[corev1.ResourceName]string{corev1.ResourceCPU: CPUKey, corev1.ResourceMemory: MemoryKey}[name]
		if _, asked := r.annotations[key]; asked {
			r.fault(key, "%s is more than the limit of %s: raise %s-limit too", request.String(), limit.String(), key)
			continue
		}
		out.Requests[name] = limit // a limit below the default request means: at most that
	}
	return out
}

func (r *reader) drain(preset time.Duration) time.Duration {
	value, set := r.annotations[DrainKey]
	if !set {
		return preset
	}
	drain, err := time.ParseDuration(value)
	if err != nil || drain < 0 || drain > mostDrain || drain%time.Second != 0 {
		r.fault(DrainKey, "%s is not a time of whole seconds, such as 5s, from 0s to %s", short(value), mostDrain)
		return preset
	}
	return drain
}

// short quotes a value that may be hostile.
func short(value string) string {
	const most = 60
	if len(value) > most {
		value = strings.ToValidUTF8(value[:most], "") + "…"
	}
	return strconv.Quote(value)
}

// reserved says whether a port is the sidecar's.
func reserved(port mesh.Port) bool {
	return slices.Contains([]mesh.Port{OutboundPort, InterceptPort, InboundPort, StatusPort, DNSPort}, port)
}
