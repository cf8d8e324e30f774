package install

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

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

// What stands for Helm's expressions where a string cannot.
const (
	serversMark   = 987001
	operatorsMark = 987002
)

// clusterMark stands for the cluster's name, which has to be given.
const (
	clusterMark  = "987003"
	clusterValue = `{{ required "cluster is missing: the name that this cluster has in the mesh, and no other (--set cluster=prod)" .Values.cluster }}`
)

// Definitions gives the folder crds of the Helm chart, which Helm applies first and
// makes nothing of.
func Definitions() (map[string][]byte, error) {
	text, err := YAML(customResources())
	if err != nil {
		return nil, err
	}
	return map[string][]byte{definitions + ".yaml": append([]byte(file), text...)}, nil
}

// Chart gives the templates of the Helm chart by their names. The server has two
// forms, with an etcd outside and without.
func Chart() (map[string][]byte, error) {
	inside := Options{
		Namespace: "{{ .Release.Namespace }}", Image: "{{ .Values.image }}", Cluster: clusterMark,
		Operators: operatorsMark, FailurePolicy: FailurePolicy("{{ .Values.webhook.failurePolicy }}"),
		Gateway: true,
	}
	outside := inside
	outside.EtcdEndpoints, outside.Servers, outside.Authz = `{{ .Values.etcd.endpoints }}`, serversMark, true
	replace := strings.NewReplacer(
		clusterMark, clusterValue, strconv.Itoa(serversMark), "{{ .Values.server.replicas }}", strconv.Itoa(operatorsMark), "{{ .Values.operator.replicas }}")
	files := map[string][]byte{}
	add := func(name, text string) { files[name+".yaml"] = []byte(file + replace.Replace(text)) }
	embedded, err := texts(inside)
	if err != nil {
		return nil, err
	}
	external, err := texts(outside)
	if err != nil {
		return nil, err
	}
	add("server", "{{- if .Values.etcd.endpoints }}\n"+external["server"]+"{{- else }}\n"+embedded["server"]+"{{- end }}\n")
	add("operator", embedded["operator"])
	add("webhook", embedded["webhook"])
	add("authz", "{{- if .Values.authz.enabled }}\n{{- if not .Values.etcd.endpoints }}\n{{- fail \"authz.enabled needs etcd.endpoints: AuthZ services share their keys through etcd\" }}\n{{- end }}\n"+external["authz"]+"{{- end }}\n")
	add("gateway", "{{- if .Values.gateway.enabled }}\n"+embedded["gateway"]+"{{- end }}\n")
	return files, nil
}

func texts(o Options) (map[string]string, error) {
	all := map[string]string{}
	for _, component := range Objects(o) {
		text, err := YAML(component.Objects)
		if err != nil {
			return nil, err
		}
		all[component.Name] = string(text)
	}
	return all, nil
}
