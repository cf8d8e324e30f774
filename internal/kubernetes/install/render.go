package install

import (
	"bytes"
	"encoding/json"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// YAML gives objects as a stream of documents.
func YAML(objects []runtime.Object) ([]byte, error) {
	var out bytes.Buffer
	for _, object := range objects {
		text, err := json.Marshal(object)
		if err != nil {
			return nil, err
		}
		var fields map[string]any
		if err := json.Unmarshal(text, &fields); err != nil {
			return nil, err
		}
		delete(fields, "status")
		if text, err = yaml.Marshal(fields); err != nil {
			return nil, err
		}
		out.WriteString("---\n")
		out.Write(text)
	}
	return out.Bytes(), nil
}

// Print gives all of an installation.
func Print(o Options) ([]byte, error) {
	var all []runtime.Object
	for _, component := range Objects(o) {
		all = append(all, component.Objects...)
	}
	return YAML(all)
}

// file is the header of each file that is made here.
const file = "# Written by `go test ./internal/kubernetes/install -update`.\n"

// Kustomization gives the files of a kustomize base by their names.
func Kustomization(o Options) (map[string][]byte, error) {
	files := map[string][]byte{}
	list := file + "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n"
	for _, component := range Objects(o) {
		text, err := YAML(component.Objects)
		if err != nil {
			return nil, err
		}
		files[component.Name+".yaml"] = append([]byte(file), text...)
		list += "- " + component.Name + ".yaml\n"
	}
	files["kustomization.yaml"] = []byte(list)
	return files, nil
}

// Definitions gives the folder crds of the Helm chart, which Helm applies first and
// makes nothing of.
func Definitions() (map[string][]byte, error) {
	text, err := YAML(customResources())
	if err != nil {
		return nil, err
	}
	return map[string][]byte{definitions + ".yaml": append([]byte(file), text...)}, nil
}
