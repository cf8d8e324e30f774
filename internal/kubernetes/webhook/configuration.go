package webhook

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/heddle-mesh/heddle/internal/kubernetes/inject"
)

// Configuration tells the API server which pods to ask about: those that opted in,
// by their namespace or themselves, and no others, so that nobody else waits for
// the webhook or is refused when it is down. Kubernetes' own namespaces and the
// operator's are left out whatever they are labelled. The client of each path is
// the operator's Service; its roots are added by package certificates.
func Configuration(name, namespace, service string, policy admissionregistrationv1.FailurePolicyType) *admissionregistrationv1.MutatingWebhookConfiguration {
	notSystem := metav1.LabelSelectorRequirement{
		Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpNotIn,
		Values: append([]string{namespace}, inject.SystemNamespaces()...),
	}
	label := func(operator metav1.LabelSelectorOperator, value string) metav1.LabelSelectorRequirement {
		return metav1.LabelSelectorRequirement{Key: inject.InjectLabel, Operator: operator, Values: []string{value}}
	}
	selector := func(all ...metav1.LabelSelectorRequirement) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchExpressions: all}
	}
	one := func(name, path string, namespaces, pods *metav1.LabelSelector) admissionregistrationv1.MutatingWebhook {
		return admissionregistrationv1.MutatingWebhook{
			Name: name,
			ClientConfig: admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{
				Namespace: namespace, Name: service, Path: &path, Port: new(int32(443)),
			}},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}, Scope: new(admissionregistrationv1.NamespacedScope)},
			}},
			FailurePolicy: &policy, MatchPolicy: new(admissionregistrationv1.Equivalent),
			NamespaceSelector: namespaces, ObjectSelector: pods,
			SideEffects: new(admissionregistrationv1.SideEffectClassNone), TimeoutSeconds: new(int32(5)),
			AdmissionReviewVersions: []string{"v1"}, ReinvocationPolicy: new(admissionregistrationv1.IfNeededReinvocationPolicy),
		}
	}
	const enabled, wanted, unwanted = "enabled", "true", "false"
	in, notIn := metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn
	return &admissionregistrationv1.MutatingWebhookConfiguration{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionregistrationv1.SchemeGroupVersion.String(), Kind: "MutatingWebhookConfiguration"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Webhooks: []admissionregistrationv1.MutatingWebhook{
			one("namespaces.inject.heddle.io", ByNamespacePath, selector(label(in, enabled), notSystem), selector(label(notIn, unwanted))),
			one("pods.inject.heddle.io", ByPodPath, selector(label(notIn, enabled), notSystem), selector(label(in, wanted))),
		},
	}
}
