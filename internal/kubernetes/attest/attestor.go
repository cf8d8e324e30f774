package attest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/kubernetes/inject"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Mesh is what the attestor asks the mesh, satisfied by a client with the keeper's token.
type Mesh interface {
	Service(ctx context.Context, name mesh.ServiceName) (*mesh.Service, error)
	// JoinToken makes a join token for one workload, if its service still has the revision
	// by which that was judged; of what is no service that is 0.
	JoinToken(ctx context.Context, of mesh.Identity, to client.Bound, judged int64, description string, life time.Duration) (string, error)
}

// Config has what an Attestor needs.
type Config struct {
	Cluster string // this cluster's name in the mesh
	// Accounts says who runs gateways and AuthZ services: nobody else does, but for the
	// pods of Gateways.
	Accounts map[mesh.Identity][]Account
	// Serves says whether a Gateway is there whose class is ours; nil: none is.
	Serves func(ctx context.Context, namespace, gateway string) (bool, error)
	// AnyAddress leaves open where a pod joins from, for networks that translate
	// addresses on the way to the server.
	AnyAddress bool
	Kubernetes kubernetes.Interface
	Mesh       Mesh
	Logger     *slog.Logger
	Metrics    *Metrics         // nil: none
	Now        func() time.Time // default time.Now
}

// joinLife is how long a pod has to use its join token.
const joinLife = time.Minute

// wanted is what a pod says of itself: one of the first three, its instance unless it
// is an AuthZ service, and the key that it will join with (older sidecars say none).
type wanted struct {
	Service  mesh.ServiceName `json:"service"`
	Gateway  mesh.ServiceName `json:"gateway"`
	Authz    bool             `json:"authz"`
	Instance mesh.InstanceID  `json:"instance"`
	Key      string           `json:"key"`
}

// identity is whose certificate the pod wants.
func (w wanted) identity() mesh.Identity {
	switch {
	case w.Gateway != "":
		return mesh.Identity{Kind: mesh.GatewayIdentity, Name: w.Gateway}
	case w.Authz:
		return mesh.Identity{Kind: mesh.AuthzIdentity}
	}
	return mesh.Identity{Kind: mesh.ServiceIdentity, Name: w.Service}
}

// The claims of a bound token, as TokenReview tells them.
const (
	podNameExtra = "authentication.kubernetes.io/pod-name"
	podUIDExtra  = "authentication.kubernetes.io/pod-uid"
)

// holder is whose a token is.
type holder struct{ namespace, account, pod, uid string }

// attest decides about one request. What it refuses is a [mesh.Error] whose
// message the caller may read.
func (a *Attestor) attest(ctx context.Context, token string, want wanted) (string, error) {
	who, err := a.review(ctx, token)
	if err != nil {
		return "", err
	}
	pod, err := a.cfg.Kubernetes.CoreV1().Pods(who.namespace).Get(ctx, who.pod, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "", mesh.Denied("pod %s/%s does not exist any more", who.namespace, who.pod)
	}
	if err != nil {
		return "", mesh.Unavailable(err, "the API server could not be asked about pod %s/%s", who.namespace, who.pod)
	}
	if err := who.is(pod); err != nil {
		return "", err
	}
	if err := a.agrees(pod, want); err != nil {
		return "", err
	}
	of := want.identity()
	gateway, judged, err := a.mayBe(ctx, who, pod, of)
	if err != nil {
		return "", err
	}
	to, err := a.bound(pod, want.Key)
	if err != nil {
		return "", err
	}
	to.GatewayOf = gateway
	secret, err := a.cfg.Mesh.JoinToken(ctx, of, to, judged, fmt.Sprintf("pod %s/%s of %s", who.namespace, who.pod, a.cfg.Cluster), joinLife)
	switch reason := mesh.ReasonOf(err); reason {
	case mesh.ReasonOtherSource:
		return "", &mesh.Error{Kind: mesh.KindDenied, Reason: reason, Err: err, Message: fmt.Sprintf("another cluster is called %s in the mesh, so no pod of this one joins: its operator needs a name of its own, or --adopt-cluster", a.cfg.Cluster)}
	case mesh.ReasonOtherName:
		return "", &mesh.Error{Kind: mesh.KindDenied, Reason: reason, Err: err, Message: fmt.Sprintf("this cluster is not called %s in the mesh but has another name there, so no pod joins by this operator: it needs that name, or --rename-cluster", a.cfg.Cluster)}
	case mesh.ReasonStale:
		return "", mesh.Unavailable(err, "what the mesh has of %s changed just now: try again", of.Phrase())
	}
	if mesh.ReasonOf(err) == client.ReasonToken {
		return "", mesh.Unavailable(err, "the mesh does not know the operator's access token: try again")
	}
	if mesh.KindOf(err) == mesh.KindDenied {
		vouch := ""
		switch {
		case gateway != "":
			vouch = " --vouch-gateways"
		case of.Kind != mesh.ServiceIdentity:
			vouch = " --vouch " + of.String()
		}
		return "", &mesh.Error{Kind: mesh.KindDenied, Err: err, Message: fmt.Sprintf("the operator's own token may not make join tokens for %s: it needs one of heddle token create --keeper kubernetes/%s%s", of.Phrase(), a.cfg.Cluster, vouch)}
	}
	if err != nil {
		return "", mesh.Unavailable(err, "no join token for %s could be made", of.Phrase())
	}
	return secret, nil
}

// mayBe says why a token's holder is not to have an identity. What it has for being a
// Gateway's, it has as that Gateway; what it has as an instance of a service, by the
// revision of that service which is judged.
func (a *Attestor) mayBe(ctx context.Context, who holder, pod *corev1.Pod, of mesh.Identity) (gateway mesh.GatewayOf, judged int64, err error) {
	if of.Kind != mesh.ServiceIdentity {
		account := Account{who.namespace, who.account}
		if slices.Contains(a.cfg.Accounts[of], account) {
			return "", 0, nil
		}
		if gateway, err = a.gatewayOf(ctx, account, pod, of); gateway != "" || err != nil {
			return gateway, 0, err
		}
		return "", 0, mesh.Denied("service account %s does not run %s: the operator is told who does by --vouch %s=NAMESPACE/SERVICEACCOUNT", account, of.Phrase(), of)
	}
	judged, err = a.mayServe(ctx, who, of)
	return "", judged, err
}

// mayServe says why a token's holder is not to be an instance of a service, or by which
// revision of that it is to be one.
func (a *Attestor) mayServe(ctx context.Context, who holder, of mesh.Identity) (judged int64, err error) {
	service, err := a.cfg.Mesh.Service(ctx, of.Name)
	if mesh.KindOf(err) == mesh.KindNotFound {
		return 0, mesh.Denied("service %q is not declared in the mesh: write a MeshService of that name in namespace %s", of.Name, who.namespace)
	}
	if err != nil {
		return 0, mesh.Unavailable(err, "the mesh could not be asked about service %q", of.Name)
	}
	if err := a.admits(service, who.namespace); err != nil {
		return 0, err
	}
	if pods := service.Endpoints.Kubernetes; pods != nil && len(pods.ServiceAccounts) > 0 && (pods.Namespace != who.namespace || !slices.Contains(pods.ServiceAccounts, who.account)) {
		return 0, mesh.Denied("service account %s/%s is none of those that service %q is to have (endpoints.kubernetes.serviceAccounts)", who.namespace, who.account, of.Name)
	}
	return service.Meta.Revision, nil
}

// bound is the one workload that a pod's join token is for.
func (a *Attestor) bound(pod *corev1.Pod, key string) (client.Bound, error) {
	to := client.Bound{Instance: a.instance(pod), Key: key}
	if a.cfg.AnyAddress {
		return to, nil
	}
	for _, one := range pod.Status.PodIPs {
		to.Addresses = append(to.Addresses, one.IP)
	}
	if len(to.Addresses) == 0 {
		return to, mesh.Unavailable(nil, "pod %s/%s has no address yet, as far as the API server knows: try again", pod.Namespace, pod.Name)
	}
	return to, nil
}

// instance is a pod's name in the mesh.
func (a *Attestor) instance(pod *corev1.Pod) mesh.InstanceID {
	return mesh.PodInstance(pod.Name, pod.Namespace, a.cfg.Cluster)
}

// review asks the API server whose a token is.
func (a *Attestor) review(ctx context.Context, token string) (holder, error) {
	answer, err := a.cfg.Kubernetes.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{inject.TokenAudience}},
	}, metav1.CreateOptions{})
	if err != nil {
		return holder{}, mesh.Unavailable(err, "the API server could not be asked about the token")
	}
	status := answer.Status
	if !status.Authenticated {
		return holder{}, &mesh.Error{Kind: mesh.KindDenied, Reason: reasonToken,
			Message: fmt.Sprintf("the token is not one that this cluster gave for audience %q and that still holds", inject.TokenAudience), Err: nonEmpty(status.Error)}
	}
	if len(status.Audiences) != 1 || status.Audiences[0] != inject.TokenAudience { // an authenticator that knows no audiences
		return holder{}, mesh.Denied("the token is not for audience %q alone", inject.TokenAudience)
	}
	parts := strings.Split(status.User.Username, ":")
	if len(parts) != 4 || parts[0] != "system" || parts[1] != "serviceaccount" {
		return holder{}, mesh.Denied("the token is not a service account's")
	}
	who := holder{namespace: parts[2], account: parts[3], pod: one(status.User.Extra[podNameExtra]), uid: one(status.User.Extra[podUIDExtra])}
	if who.pod == "" || who.uid == "" {
		return holder{}, mesh.Denied("the token of service account %s/%s is not bound to a pod: use the projected one at %s", who.namespace, who.account, inject.TokenDir+"/token")
	}
	return who, nil
}

// is says why the pod is not, or no longer, the token's.
func (h holder) is(pod *corev1.Pod) error {
	switch name := h.namespace + "/" + h.pod; {
	case string(pod.UID) != h.uid:
		return mesh.Denied("pod %s is another one now than the token was given for", name)
	case pod.DeletionTimestamp != nil:
		return mesh.Denied("pod %s is being deleted", name)
	case pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed:
		return mesh.Denied("pod %s has ended", name)
	case pod.Spec.ServiceAccountName != h.account:
		return mesh.Denied("pod %s runs as another service account than the token's, %s", name, h.account)
	}
	return nil
}

// agrees says why what a pod says of itself is not what the API server knows of it;
// of a service's, what the injector wrote.
func (a *Attestor) agrees(pod *corev1.Pod, want wanted) error {
	name := pod.Namespace + "/" + pod.Name
	if id := a.instance(pod); id != want.Instance && (!want.Authz || want.Instance != "") {
		return mesh.Denied("pod %s is instance %q, not %q", name, id, want.Instance)
	}
	if want.Service == "" {
		return nil
	}
	if pod.Annotations[inject.StatusKey] == "" || pod.Annotations[inject.ServiceKey] == "" {
		return mesh.Denied("pod %s was not injected: it has no annotations %s and %s", name, inject.StatusKey, inject.ServiceKey)
	}
	if service := pod.Annotations[inject.ServiceKey]; service != string(want.Service) {
		return mesh.Denied("pod %s belongs to service %q, not to %q", name, service, want.Service)
	}
	return nil
}

// admits says why pods of a namespace are none of a service's.
func (a *Attestor) admits(service *mesh.Service, namespace string) error {
	below := mesh.OfCluster(a.cfg.Cluster) + mesh.Keeper("/"+namespace)
	if below.Covers(service.Meta.Keeper) {
		return nil
	}
	if pods := service.Endpoints.Kubernetes; pods.Has(a.cfg.Cluster) && pods.Namespace == namespace {
		return nil
	}
	return mesh.Denied("service %q has no pods in namespace %s of cluster %s: it is neither declared there (MeshService), nor do its endpoints.kubernetes name that cluster and namespace", service.Name, namespace, a.cfg.Cluster)
}

func one(values []string) string {
	if len(values) != 1 {
		return ""
	}
	return values[0]
}
