package crd

import (
	"bytes"
	"encoding/json"
	"fmt"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// YAML writes one definition as kubectl takes it.
func YAML(definition apiextensions.CustomResourceDefinition) ([]byte, error) {
	raw, err := json.Marshal(definition)
	if err != nil {
		return nil, fmt.Errorf("write the definition of %s: %w", definition.Name, err)
	}
	var tree map[string]any
	if err := json.Unmarshal(raw, &tree); err != nil {
		return nil, fmt.Errorf("write the definition of %s: %w", definition.Name, err)
	}
	delete(tree, "status") // the API server's own
	text, err := yaml.Marshal(tree)
	if err != nil {
		return nil, fmt.Errorf("write the definition of %s: %w", definition.Name, err)
	}
	var out bytes.Buffer
	out.WriteString("# Written by hack/generate.sh from the types of internal/mesh.\n")
	out.Write(text)
	return out.Bytes(), nil
}
