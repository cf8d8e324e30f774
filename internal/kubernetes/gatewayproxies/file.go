package gatewayproxies

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	gw "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"
)

// inFile finds a Gateway among manifests, and its class if that is there too.
func inFile(c Config) (*found, error) {
	gateways, classes, err := read(c.File)
	if err != nil {
		return nil, err
	}
	var matching []gw.Gateway
	for _, one := range gateways {
		if (c.Name == "" || one.Name == c.Name) && (c.Namespace == "" || one.Namespace == "" || one.Namespace == c.Namespace) {
			matching = append(matching, one)
		}
	}
	switch {
	case len(matching) == 0 && c.Name != "":
		return nil, fmt.Errorf("the file has no Gateway %s", c.Name)
	case len(matching) == 0:
		return nil, errors.New("the file has no Gateway (gateway.networking.k8s.io/v1)")
	case len(matching) > 1:
		return nil, fmt.Errorf("the file has %d Gateways: say the name, and with --namespace the namespace, of one of them", len(matching))
	}
	g := &found{Gateway: matching[0]}
	if g.Namespace == "" {
		g.Namespace = c.Namespace
	}
	if g.Namespace == "" {
		return nil, fmt.Errorf("gateway %s has no namespace in the file: say which with --namespace", g.Name)
	}
	if faults := append(validation.IsDNS1123Label(g.Namespace), validation.IsDNS1123Subdomain(g.Name)...); len(faults) > 0 {
		return nil, fmt.Errorf("gateway %q in namespace %q: %s", g.Name, g.Namespace, faults[0])
	}
	for i := range classes {
		if classes[i].Name == string(g.Spec.GatewayClassName) {
			g.class = &classes[i]
		}
	}
	return g, nil
}

// read gives the Gateways and classes of a stream of YAML or JSON documents.
func read(text []byte) (gateways []gw.Gateway, classes []gw.GatewayClass, err error) {
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for n := 1; ; n++ {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return gateways, classes, nil
		}
		var is metav1.TypeMeta
		if err == nil {
			err = yaml.Unmarshal(document, &is)
		}
		if err == nil && is.GroupVersionKind().Group == gw.GroupName {
			switch is.Kind {
			case "Gateway":
				var g gw.Gateway
				err = yaml.UnmarshalStrict(document, &g)
				gateways = append(gateways, g)
			case "GatewayClass":
				var class gw.GatewayClass
				err = yaml.UnmarshalStrict(document, &class)
				classes = append(classes, class)
			}
		}
		if err != nil {
			return nil, nil, fmt.Errorf("document %d of the file: %w", n, err)
		}
	}
}
