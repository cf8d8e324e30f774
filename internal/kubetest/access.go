package kubetest

import (
	"context"
	"crypto/rand"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// User gives what a user of that name connects with, a client certificate. It
// may do nothing until [Cluster.Allow].
func (c *Cluster) User(t testing.TB, name string, groups ...string) *rest.Config {
	t.Helper()
	certificate, key, err := c.authority.issue(pkix.Name{CommonName: name, Organization: groups})
	if err != nil {
		t.Fatalf("issue a certificate for user %s: %v", name, err)
	}
	config := rest.AnonymousClientConfig(c.Config)
	config.CertData, config.KeyData, config.QPS = certificate, key, -1
	return config
}

// WithToken gives what the holder of a bearer token connects with.
func (c *Cluster) WithToken(token string) *rest.Config {
	config := rest.AnonymousClientConfig(c.Config)
	config.BearerToken, config.QPS = token, -1
	return config
}

// ServiceAccountToken has the API server issue a token, valid for an hour, for a
// service account that exists. Without audiences it is one for the API server.
func (c *Cluster) ServiceAccountToken(t testing.TB, namespace, name string, audiences ...string) string {
	t.Helper()
	seconds := int64(time.Hour / time.Second)
	answer, err := c.Client.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), name, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{Audiences: audiences, ExpirationSeconds: &seconds},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("request a token for service account %s/%s: %v", namespace, name, err)
	}
	return answer.Status.Token
}

// AccountUser is the user name of a service account.
func AccountUser(namespace, name string) string {
	return "system:serviceaccount:" + namespace + ":" + name
}

// Allow grants a user rights in a namespace, or with "" in the whole cluster,
// and returns once the API server knows of them. What is not in a namespace
// ends with the test.
func (c *Cluster) Allow(t testing.TB, user, namespace string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	name := metav1.ObjectMeta{Name: "kubetest-" + strings.ToLower(rand.Text())}
	subjects := []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}}
	var role, binding error
	if rbac := c.Client.RbacV1(); namespace == "" {
		_, role = rbac.ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: name, Rules: rules}, metav1.CreateOptions{})
		_, binding = rbac.ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
			ObjectMeta: name, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name.Name},
		}, metav1.CreateOptions{})
		t.Cleanup(func() {
			// Best effort: the API server may be stopped, and then the cluster ends too.
			_ = rbac.ClusterRoleBindings().Delete(context.Background(), name.Name, metav1.DeleteOptions{})
			_ = rbac.ClusterRoles().Delete(context.Background(), name.Name, metav1.DeleteOptions{})
		})
	} else {
		_, role = rbac.Roles(namespace).Create(t.Context(), &rbacv1.Role{ObjectMeta: name, Rules: rules}, metav1.CreateOptions{})
		_, binding = rbac.RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{
			ObjectMeta: name, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name.Name},
		}, metav1.CreateOptions{})
	}
	if err := errors.Join(role, binding); err != nil {
		t.Fatalf("grant rights to user %s: %v", user, err)
	}
	for _, rule := range rules {
		Eventually(t, "let user "+user+" do what was granted", func() error { return c.allowed(t, user, namespace, rule) })
	}
}

// allowed asks the API server about the first thing that a rule grants.
func (c *Cluster) allowed(t testing.TB, user, namespace string, rule rbacv1.PolicyRule) error {
	spec := authorizationv1.SubjectAccessReviewSpec{User: user}
	if len(rule.NonResourceURLs) > 0 {
		spec.NonResourceAttributes = &authorizationv1.NonResourceAttributes{Path: rule.NonResourceURLs[0], Verb: rule.Verbs[0]}
	} else {
		resource, subresource, _ := strings.Cut(rule.Resources[0], "/")
		spec.ResourceAttributes = &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: rule.Verbs[0], Group: rule.APIGroups[0], Resource: resource, Subresource: subresource,
		}
		if len(rule.ResourceNames) > 0 {
			spec.ResourceAttributes.Name = rule.ResourceNames[0]
		}
	}
	review, err := c.Client.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
	if err == nil && !review.Status.Allowed {
		return fmt.Errorf("the API server does not allow %v yet: %s", rule, review.Status.Reason)
	}
	return err
}

// KubeconfigOf writes a file with which a program connects as a configuration
// of this package says, and gives its name.
func KubeconfigOf(t testing.TB, config *rest.Config) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := writeKubeconfig(file, config); err != nil {
		t.Fatal(err)
	}
	return file
}

func writeKubeconfig(file string, config *rest.Config) error {
	const name = "kubetest"
	out := clientcmdapi.NewConfig()
	out.Clusters[name] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	out.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: config.BearerToken, ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}
	out.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	out.CurrentContext = name
	return clientcmd.WriteToFile(*out, file)
}
