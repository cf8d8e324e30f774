package gatewayapi

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	gw "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/heddle-mesh/heddle/internal/kubernetes/v1alpha1"
)

// MadeForAnnotation says of a Gateway's Service what its proxies serve: what the Gateway wants
// later is told from it. Without it nobody knows.
const MadeForAnnotation = v1alpha1.Prefix + "made-for"

// MadeFor is the annotation of the Service of proxies that serve a Gateway as it is now:
// "port/80 port/443 secret/web".
func (g Gateway) MadeFor() string {
	var all []string
	for _, port := range []int{int(g.HTTPPort), int(g.HTTPSPort)} {
		if port != 0 {
			all = append(all, portWord(port))
		}
	}
	for _, one := range g.Certificates {
		all = append(all, secretWord+one.Name)
	}
	return strings.Join(all, " ")
}

const secretWord = "secret/"

func portWord(port int) string { return fmt.Sprintf("port/%d", port) }

// madeFor is what a Service says of the proxies behind it.
func madeFor(s *corev1.Service) []string {
	return strings.Fields(s.Annotations[MadeForAnnotation])
}

// lacks says what of a listener the proxies of its Gateway were not made for, as far as they
// say so.
func (l *listener) lacks(made []string, g *gw.Gateway) (why fault) {
	if len(made) == 0 {
		return why
	}
	again := fmt.Sprintf(": run heddle operator gateway %s --namespace %s again", g.Name, g.Namespace)
	if !slices.Contains(made, portWord(int(l.Port))) {
		why.first(string(gw.ListenerReasonPending), fmt.Sprintf("the Gateway's proxies were made without port %d", l.Port)+again)
	}
	for _, one := range l.certificates {
		if !slices.Contains(made, secretWord+one.Name) {
			why.first(string(gw.ListenerReasonPending), fmt.Sprintf("the Gateway's proxies were made without Secret %s", one)+again)
		}
	}
	return why
}
