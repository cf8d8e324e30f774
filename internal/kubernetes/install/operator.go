package install

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/heddle-mesh/heddle/internal/kubernetes/certificates"
	"github.com/heddle-mesh/heddle/internal/kubernetes/gatewayapi"
	"github.com/heddle-mesh/heddle/internal/kubernetes/v1alpha1"
)

// operator joins this cluster to the mesh; with the injector it answers the webhook
// and the pods that join.
func (o Options) operator() []runtime.Object {
	args := []string{
		"operator", "--cluster=" + o.Cluster, "--namespace=" + o.Namespace,
		"--server=https://" + o.host(Server) + ":" + strconv.Itoa(restPort), "--token-file=" + heddleFolder + "/token/token",
		"--server-ca-file=" + heddleFolder + "/token/ca.crt", // the server's certificate is the mesh's
		"--http-listen=:" + strconv.Itoa(metricsPort), "--proxies-at=https://" + o.host(eachServer) + ":" + strconv.Itoa(restPort),
	}
	web, metrics := port("webhook", 443, webhookPort), port("metrics", metricsPort, metricsPort)
	served := []corev1.ServicePort{metrics}
	all := []runtime.Object{&corev1.ServiceAccount{TypeMeta: kind("v1", "ServiceAccount"), ObjectMeta: o.meta(Operator)}}
	if !o.NoInjector {
		args = append(args, "--webhook-listen=:"+strconv.Itoa(webhookPort), "--image="+o.Image, "--pod-xds="+o.host(Server)+":"+strconv.Itoa(xdsPort),
			"--intercept-iptables="+o.Iptables, "--intercept-ipv6="+o.InterceptIPv6)
		args = append(args, o.vouches()...)
		served = []corev1.ServicePort{web, metrics}
		all = append(all, o.service(Operator, web))
	}
	pod := corev1.PodSpec{ServiceAccountName: Operator, Volumes: []corev1.Volume{tmp()}}
	pod.Containers = []corev1.Container{o.container("operator", o.Image, "512Mi", []string{"heddle"}, args)}
	container := &pod.Containers[0]
	container.Ports = ports(served...)
	container.LivenessProbe = probe("/livez", metricsPort, corev1.URISchemeHTTP)
	container.ReadinessProbe = probe("/readyz", metricsPort, corev1.URISchemeHTTP)
	mounted(&pod, "token", operatorToken, heddleFolder+"/token")
	calls := []networkingv1.NetworkPolicyEgressRule{names, to(Server, restPort), anywhere(servicePort, o.APIPort)}
	return append(all, o.deployment(Operator, o.Operators, pod), o.disruption(Operator), o.networkPolicy(Operator, from("", targets(served)...), calls...))
}

// operatorRights is all that the operator may do. It reads no Secrets but its own,
// and changes nothing of others but the custom resources and one webhook.
func (o Options) operatorRights() []runtime.Object {
	rule := func(group string, resources, verbs []string, names ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: verbs, ResourceNames: names}
	}
	follow := []string{"get", "list", "watch"}
	const group, gatewayAPI = v1alpha1.Group, "gateway.networking.k8s.io"
	everywhere := []rbacv1.PolicyRule{
		rule(group, []string{"meshservices", "upstreams", "meshroutes"}, []string{"get", "list", "watch", "update", "patch"}),
		rule(group, []string{"meshservices/status", "upstreams/status", "meshroutes/status"}, []string{"get", "update", "patch"}),
		rule(group, []string{"meshservices/finalizers", "upstreams/finalizers", "meshroutes/finalizers"}, []string{"update"}),
		rule(gatewayAPI, []string{"gatewayclasses", "gateways", "httproutes", "grpcroutes", "referencegrants"}, follow),
		rule(gatewayAPI, []string{"gatewayclasses/status", "gateways/status", "httproutes/status", "grpcroutes/status"}, []string{"patch"}),
		rule("", []string{"services", "pods", "nodes", "namespaces"}, follow), // the uid of kube-system tells which cluster it is, annotations which pods MeshServices may name
		rule("discovery.k8s.io", []string{"endpointslices"}, follow),
		rule("events.k8s.io", []string{"events"}, []string{"create", "patch"}),
	}
	own := []rbacv1.PolicyRule{
		rule("", []string{"events"}, []string{"create", "patch"}), // of the leader's election
		rule("coordination.k8s.io", []string{"leases"}, []string{"create"}),
		rule("coordination.k8s.io", []string{"leases"}, []string{"get", "update", "patch"}, Operator),
	}
	if !o.NoInjector {
		everywhere = append(everywhere,
			rule("authentication.k8s.io", []string{"tokenreviews"}, []string{"create"}),
			rule("admissionregistration.k8s.io", []string{"mutatingwebhookconfigurations"}, []string{"get", "list", "watch", "patch"}, certificates.DefaultConfiguration))
		own = append(own,
			rule("", []string{"secrets"}, []string{"create"}), // cannot be limited to a name
			rule("", []string{"secrets"}, []string{"get", "list", "watch", "update"}, certificates.DefaultSecret))
	}
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: Operator, Namespace: o.Namespace}}
	const rbac = "rbac.authorization.k8s.io/v1"
	global := metav1.ObjectMeta{Name: Operator, Labels: labels(Operator)}
	return []runtime.Object{
		&rbacv1.ClusterRole{TypeMeta: kind(rbac, "ClusterRole"), ObjectMeta: global, Rules: everywhere},
		&rbacv1.ClusterRoleBinding{TypeMeta: kind(rbac, "ClusterRoleBinding"), ObjectMeta: global, Subjects: subjects,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: Operator}},
		// For whoever wants listeners with HTTPS in a namespace to bind there.
		&rbacv1.ClusterRole{TypeMeta: kind(rbac, "ClusterRole"), ObjectMeta: metav1.ObjectMeta{Name: gatewayapi.SecretsRole, Labels: labels(Operator)},
			Rules: []rbacv1.PolicyRule{rule("", []string{"secrets"}, []string{"get"})}},
		&rbacv1.Role{TypeMeta: kind(rbac, "Role"), ObjectMeta: o.meta(Operator), Rules: own},
		&rbacv1.RoleBinding{TypeMeta: kind(rbac, "RoleBinding"), ObjectMeta: o.meta(Operator), Subjects: subjects,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: Operator}},
	}
}
