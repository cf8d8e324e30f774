package install

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/heddle-mesh/heddle/internal/kubernetes/attest"
	"github.com/heddle-mesh/heddle/internal/kubernetes/certificates"
	"github.com/heddle-mesh/heddle/internal/kubernetes/inject"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// joins are the components that join the mesh as its own parts, each by the service
// account of its name. The operator is told of all of them, installed or not: pods of
// such an account are nobody else's to make than whoever administers the namespace.
func joins() []struct {
	of      mesh.Identity
	account string
} {
	return []struct {
		of      mesh.Identity
		account string
	}{
		{mesh.Identity{Kind: mesh.GatewayIdentity, Name: gatewayName}, Gateway},
		{mesh.Identity{Kind: mesh.AuthzIdentity}, Authz},
	}
}

// vouches tells the operator who these are.
func (o Options) vouches() (args []string) {
	for _, one := range joins() {
		args = append(args, "--vouch="+one.of.String()+"="+o.Namespace+"/"+one.account)
	}
	return args
}

// attestor is who gives pods what they join with, and what its certificate is verified by: the
// file [certificates.RootsKey] of a volume.
type attestor struct {
	url   string
	roots corev1.VolumeSource
}

// ownOperator is the operator, for pods of its own namespace.
func (o Options) ownOperator() attestor {
	return attestor{"https://" + o.host(Operator) + attest.Path, corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
		SecretName: certificates.DefaultSecret,
		// Of the operator's Secret the roots alone: its keys are its own.
		Items: []corev1.KeyToPath{{Key: certificates.RootsKey, Path: certificates.RootsKey}},
	}}}
}

// attested has a component's pods join by the token of a service account, which is
// for nothing else, and gives that account.
func (o Options) attested(pod *corev1.PodSpec, account string, by attestor) *corev1.ServiceAccount {
	const tokens, roots = inject.TokenDir, heddleFolder + "/operator"
	container := &pod.Containers[0]
	container.Args = append(container.Args, "--attest-url="+by.url,
		"--attest-token-file="+tokens+"/token", "--attest-ca-file="+roots+"/"+certificates.RootsKey)
	pod.ServiceAccountName = account
	pod.Volumes = append(pod.Volumes, corev1.Volume{Name: "operator", VolumeSource: by.roots}, inject.TokenVolume("token"))
	container.VolumeMounts = append(container.VolumeMounts,
		corev1.VolumeMount{Name: "operator", MountPath: roots, ReadOnly: true}, corev1.VolumeMount{Name: "token", MountPath: tokens, ReadOnly: true})
	return &corev1.ServiceAccount{TypeMeta: kind("v1", "ServiceAccount"), ObjectMeta: o.meta(account), AutomountServiceAccountToken: new(false)}
}

func fieldVariable(name, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}}
}
