package inject

import (
	"encoding/json"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// probesVariable is where the sidecar finds the application's own probes.
const probesVariable = "HEDDLE_APP_PROBES"

// sidecar runs heddle proxy. As an init container that restarts always it is
// ready before the application starts, and ends after it.
func (w wish) sidecar(settings Settings, probes probes) corev1.Container {
	always := corev1.ContainerRestartPolicyAlways
	args := []string{
		"proxy",
		"--service", string(w.service),
		"--instance", settings.instance("$(POD_NAME)", "$(POD_NAMESPACE)"),
		"--server", settings.Server,
	}
	for _, address := range settings.XDS {
		args = append(args, "--xds", address)
	}
	args = append(args,
		"--identity-dir", identityDir,
		"--attest-url", settings.AttestURL,
		"--attest-token-file", TokenDir+"/token",
		"--no-register",
		"--app-ready", "none", // the application starts once the sidecar is ready
		"--status-port", strconv.Itoa(int(StatusPort)),
	)
	if w.appPort != 0 {
		args = append(args, "--inbound-port", strconv.Itoa(int(InboundPort)), "--app-port", strconv.Itoa(int(w.appPort)))
	}
	if w.intercept {
		args = append(args, "--intercept", "--intercept-outside", w.outside)
		args = w.withoutDNS(args)
	}
	args = append(args, "--drain-timeout", w.drain.String(), "--envoy-log-level", w.logLevel)

	env := []corev1.EnvVar{
		fieldVariable("POD_NAME", "metadata.name"),
		fieldVariable("POD_NAMESPACE", "metadata.namespace"),
		{Name: "HEDDLE_ATTEST_CA", Value: settings.AttestCA},
	}
	if len(probes) > 0 {
		env = append(env, corev1.EnvVar{Name: probesVariable, Value: probes.encode()})
	}
	ready := corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/ready", Port: intstr.FromInt32(int32(StatusPort)), Scheme: corev1.URISchemeHTTP}}
	return withDefaults(corev1.Container{
		Name: SidecarName, Image: settings.Image, Command: []string{"heddle"}, Args: args, Env: env,
		RestartPolicy:   &always,
		Resources:       w.resources,
		StartupProbe:    &corev1.Probe{ProbeHandler: ready, PeriodSeconds: 1, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 120},
		ReadinessProbe:  &corev1.Probe{ProbeHandler: ready, PeriodSeconds: 5, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3},
		SecurityContext: restricted(ProxyUID),
		VolumeMounts: []corev1.VolumeMount{
			{Name: identityVolume, MountPath: identityDir},
			{Name: tokenVolume, MountPath: TokenDir, ReadOnly: true},
			{Name: tmpVolume, MountPath: "/tmp"},
		},
	})
}

// withoutDNS has neither command know of DNS, if that is asked for.
func (w wish) withoutDNS(args []string) []string {
	if w.dns {
		return args
	}
	return append(args, "--dns-port", "0")
}

// withDefaults says what the API server would: what it makes of an injected pod
// is then what is injected, when it asks again.
func withDefaults(container corev1.Container) corev1.Container {
	container.ImagePullPolicy = corev1.PullIfNotPresent
	container.TerminationMessagePath = corev1.TerminationMessagePathDefault
	container.TerminationMessagePolicy = corev1.TerminationMessageReadFile
	return container
}

// interceptContainer sets the rules that lead the application's connections to
// the sidecar, and ends. It comes first: what the pod's own init containers send
// goes through the mesh too.
func (w wish) interceptContainer(settings Settings) corev1.Container {
	args := []string{"intercept", "install", "--proxy-uid", strconv.FormatInt(ProxyUID, 10)}
	if w.appPort != 0 {
		args = append(args, "--inbound-ports", strconv.Itoa(int(w.appPort)))
	}
	if len(w.excludePorts) > 0 {
		args = append(args, "--exclude-outbound-ports", strings.Join(w.excludePorts, ","))
	}
	if len(w.excludeCIDRs) > 0 {
		args = append(args, "--exclude-outbound-cidrs", strings.Join(w.excludeCIDRs, ","))
	}
	args = w.withoutDNS(args)
	if settings.Iptables != "" {
		args = append(args, "--backend", "iptables-"+settings.Iptables)
	}
	if settings.NoIPv6 {
		args = append(args, "--no-ipv6")
	}
	security := restricted(0)
	security.RunAsNonRoot = new(false)
	security.Capabilities.Add = []corev1.Capability{"NET_ADMIN", "NET_RAW"}
	return withDefaults(corev1.Container{
		Name: InterceptName, Image: settings.Image, Command: []string{"heddle"}, Args: args,
		Env: []corev1.EnvVar{{Name: "XTABLES_LOCKFILE", Value: "/tmp/xtables.lock"}}, // the root file system is read-only
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("16Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: resource.MustParse("128Mi")},
		},
		SecurityContext: security,
		VolumeMounts:    []corev1.VolumeMount{{Name: tmpVolume, MountPath: "/tmp"}},
	})
}

// restricted is the least that a process of ours gets by with.
func restricted(user int64) *corev1.SecurityContext {
	return &corev1.SecurityContext{
		RunAsUser: &user, RunAsGroup: &user, RunAsNonRoot: new(true),
		Privileged: new(false), AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
		Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
}

func fieldVariable(name, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path}}}
}

var ourVolumes = []string{identityVolume, tokenVolume, tmpVolume}

// volumes are what the sidecar writes to, and the token that says whose it is.
// The key of its identity is in memory and goes with the pod.
func volumes() []corev1.Volume {
	small, some := resource.MustParse("1Mi"), resource.MustParse("64Mi")
	return []corev1.Volume{
		{Name: identityVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, SizeLimit: &small}}},
		TokenVolume(tokenVolume),
		{Name: tmpVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &some}}},
	}
}

// TokenVolume holds a token of the pod's service account that is for joining the mesh
// and for nothing else; the kubelet renews it.
func TokenVolume(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		DefaultMode: new(int32(0o644)),
		Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
			Audience: TokenAudience, ExpirationSeconds: new(tokenSeconds), Path: "token",
		}}},
	}}}
}

// encode gives the probes as the sidecar reads them.
func (p probes) encode() string {
	text, err := json.Marshal(p) // keys come sorted
	if err != nil {
		panic(err) // plain structs of the API cannot fail
	}
	return string(text)
}
