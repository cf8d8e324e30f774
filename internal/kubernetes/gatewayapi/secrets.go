package gatewayapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gw "sigs.k8s.io/gateway-api/apis/v1"
)

// SecretsRole is the ClusterRole that lets the operator read the Secrets of a namespace
// where it is bound: whether those that Gateways name hold a certificate. It is bound
// nowhere at first.
const SecretsRole = "heddle-gateway-secrets"

// verdicts are what was found out about Secrets. What is in them is looked at and forgotten.
type verdicts map[types.NamespacedName]verdict

// verdict is what was found out about one version of a Secret.
type verdict struct {
	version string // of uid and resourceVersion; "": it is not there, or not to be read
	there   bool
	fault   string    // why it is no certificate and key; "": it is
	looked  time.Time // when that was so
}

// patience is how long the Secrets of one look may take: who waits in vain for one
// keeps the others for so long.
const patience = 10 * time.Second

// certificate is the Secret that a listener of a Gateway refers to, or why it is none
// that it may use.
func (s *Snapshot) certificate(g *gw.Gateway, ref gw.SecretObjectReference) (types.NamespacedName, fault) {
	at := types.NamespacedName{Namespace: g.Namespace, Name: string(ref.Name)}
	if ref.Namespace != nil {
		at.Namespace = string(*ref.Namespace)
	}
	switch {
	case ref.Group != nil && *ref.Group != "" || ref.Kind != nil && *ref.Kind != "Secret":
		return at, fault{string(gw.ListenerReasonInvalidCertificateRef), "tls.certificateRefs names something else than a Secret"}
	case !s.granted(gw.GroupName, "Gateway", g.Namespace, "Secret", at.Namespace, at.Name):
		return at, fault{string(gw.ListenerReasonRefNotPermitted), fmt.Sprintf("no ReferenceGrant in namespace %s lets this Gateway use Secret %s", at.Namespace, at.Name)}
	}
	return at, fault{}
}

// certificates are the Secrets that listeners of our Gateways use, and may use. No
// other is read.
func (s *Snapshot) certificates() []types.NamespacedName {
	var out []types.NamespacedName
	for _, g := range s.ours() {
		for i := range g.Spec.Listeners {
			l := &g.Spec.Listeners[i]
			if l.Protocol != gw.HTTPSProtocolType || l.TLS == nil {
				continue
			}
			for _, ref := range l.TLS.CertificateRefs {
				if at, wrong := s.certificate(g, ref); wrong.reason == "" {
					out = append(out, at)
				}
			}
		}
	}
	return out
}

// secrets fills in what is to be said of Secrets. One that cannot be read is its
// listeners' trouble alone; the error is for trying again.
func (c *Controller) secrets(ctx context.Context, s *Snapshot) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s.Secrets, s.Unread = map[types.NamespacedName]string{}, map[types.NamespacedName]string{}
	judged := verdicts{} // those that nobody names any more are forgotten
	var failed []error
	for _, at := range s.certificates() {
		if _, done := judged[at]; done || s.Unread[at] != "" {
			continue
		}
		was, has := c.verdicts[at]
		is, err := c.judge(ctx, at, was)
		switch {
		case err == nil:
			judged[at] = is
		case has && (!was.there || was.fault != ""):
			judged[at] = was // what was not served is not served for that
		default:
			if has {
				judged[at] = was
			}
			s.Unread[at] = err.Error()
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("read Secret %s: %w", at, err))
		}
		if is := judged[at]; is.there {
			s.Secrets[at] = is.fault
		}
	}
	c.verdicts = judged
	return errors.Join(failed...)
}

// judge finds out about a Secret. A good one counts for a while; of another it is first
// asked whether it is the one that was read.
func (c *Controller) judge(ctx context.Context, at types.NamespacedName, was verdict) (verdict, error) {
	now := time.Now()
	if was.there && was.fault == "" && now.Sub(was.looked) < again {
		return was, nil
	}
	if was.version != "" {
		head := metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}}
		if err := c.Live.Get(ctx, at, &head); err != nil {
			return unfound(at, err)
		}
		if versionOf(&head) == was.version {
			was.looked = now
			return was, nil
		}
	}
	var secret corev1.Secret
	if err := c.Live.Get(ctx, at, &secret); err != nil {
		return unfound(at, err)
	}
	return verdict{versionOf(&secret), true, certificateFault(&secret), now}, nil
}

func versionOf(o metav1.Object) string { return string(o.GetUID()) + "/" + o.GetResourceVersion() }

// unfound is the verdict on a Secret of which the API says that there is none for us.
func unfound(at types.NamespacedName, err error) (verdict, error) {
	switch {
	case apierrors.IsNotFound(err):
		return verdict{}, nil
	case apierrors.IsForbidden(err):
		return verdict{there: true, fault: fmt.Sprintf("the operator may not read it: bind it to the ClusterRole %s in namespace %s", SecretsRole, at.Namespace)}, nil
	}
	return verdict{}, err
}

func certificateFault(s *corev1.Secret) string {
	if s.Type != corev1.SecretTypeTLS {
		return fmt.Sprintf("its type is %s, and not %s", s.Type, corev1.SecretTypeTLS)
	}
	if _, err := tls.X509KeyPair(s.Data[corev1.TLSCertKey], s.Data[corev1.TLSPrivateKeyKey]); err != nil {
		return "its tls.crt and tls.key are no certificate and its key"
	}
	return ""
}
