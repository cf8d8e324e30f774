package install

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/heddle-mesh/heddle/internal/kubernetes/v1alpha1"
)

// policyName is of the policy and its binding.
const policyName = "endpoints." + v1alpha1.Group

// policy has the API server refuse what the operator would not write to the registry
// either: a MeshService that takes the pods of another namespace without being allowed
// to. What is stored already may be changed in other ways, and deleted.
func policy() []runtime.Object {
	const version = "admissionregistration.k8s.io/v1"
	const key = v1alpha1.EndpointsInKey
	global := metav1.ObjectMeta{Name: policyName, Labels: map[string]string{"app.kubernetes.io/part-of": "heddle"}}
	return []runtime.Object{
		&admissionregistrationv1.ValidatingAdmissionPolicy{
			TypeMeta: kind(version, "ValidatingAdmissionPolicy"), ObjectMeta: global,
			Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
				FailurePolicy: new(admissionregistrationv1.Fail),
				MatchConstraints: &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{
					RuleWithOperations: admissionregistrationv1.RuleWithOperations{
						Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
						Rule:       admissionregistrationv1.Rule{APIGroups: []string{v1alpha1.GroupVersion.Group}, APIVersions: []string{"*"}, Resources: []string{"meshservices", "upstreams"}},
					},
				}}},
				MatchConditions: []admissionregistrationv1.MatchCondition{{Name: "spec-is-written", Expression: "request.operation == 'CREATE' || object.spec != oldObject.spec"}},
				Variables: []admissionregistrationv1.Variable{
					{Name: "named", Expression: "has(object.spec.endpoints) && has(object.spec.endpoints.kubernetes) && has(object.spec.endpoints.kubernetes.namespace) ? object.spec.endpoints.kubernetes.namespace : ''"},
					{Name: "allowed", Expression: "(has(namespaceObject.metadata.annotations) && '" + key + "' in namespaceObject.metadata.annotations ? namespaceObject.metadata.annotations['" + key + "'] : '').split(',').map(one, one.trim())"},
				},
				Validations: []admissionregistrationv1.Validation{{
					Expression:        "variables.named in ['', request.namespace] || variables.named in variables.allowed",
					MessageExpression: "'endpoints.kubernetes.namespace: the pods of namespace ' + variables.named + ' are not for namespace ' + request.namespace + ': whoever administers the cluster allows it with the annotation " + key + ": ' + variables.named + ' of namespace ' + request.namespace",
					Reason:            new(metav1.StatusReasonForbidden),
				}},
			},
		},
		&admissionregistrationv1.ValidatingAdmissionPolicyBinding{
			TypeMeta: kind(version, "ValidatingAdmissionPolicyBinding"), ObjectMeta: global,
			Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: policyName, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny}},
		},
	}
}
