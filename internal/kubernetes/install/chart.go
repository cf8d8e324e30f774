package install

import (
	"strconv"
	"strings"
)

// What stands for Helm's expressions where a string cannot.
const (
	serversMark   = 987001
	operatorsMark = 987002
	etcdPortsMark = 987004
	redisPortMark = 987005
	apiPortMark   = 987006
)

// The values that make whole objects what they are.
const (
	etcdValue  = "{{ .Values.etcd.endpoints }}"
	redisValue = "{{ .Values.authz.redis }}"
)

// clusterMark stands for the cluster's name, which has to be given.
const (
	clusterMark  = "987003"
	clusterValue = `{{ required "cluster is missing: the name that this cluster has in the mesh, and no other (--set cluster=prod)" .Values.cluster }}`
)

// etcdPortsValue is an element of a list of ports for each port in the endpoints.
const etcdPortsValue = `{{- range regexReplaceAll "https://[^,]*:" .Values.etcd.endpoints "" | splitList "," | uniq }}
    - port: {{ . }}
      protocol: TCP
{{- end }}
`

// marks are replaced in the templates.
var marks = strings.NewReplacer(
	clusterMark, clusterValue,
	strconv.Itoa(serversMark), "{{ .Values.server.replicas | default 3 }}",
	strconv.Itoa(operatorsMark), "{{ .Values.operator.replicas }}",
	"    - port: "+strconv.Itoa(etcdPortsMark)+"\n      protocol: TCP\n", etcdPortsValue,
	strconv.Itoa(apiPortMark), "{{ .Values.operator.apiPort }}",
	strconv.Itoa(redisPortMark), `{{ regexFind "[0-9]+$" .Values.authz.redis }}`,
)

// Chart gives the templates of the Helm chart by their names. What has two forms – the
// server by where its etcd is, AuthZ services by where their Redis is, the operator by
// whether it injects – is there in both.
func Chart() (map[string][]byte, error) {
	inside := Options{
		Namespace: "{{ .Release.Namespace }}", Image: "{{ .Values.image }}", Cluster: clusterMark,
		Operators: operatorsMark, APIPort: apiPortMark, FailurePolicy: FailurePolicy("{{ .Values.webhook.failurePolicy }}"),
		Iptables: "{{ .Values.webhook.iptables }}", InterceptIPv6: "{{ .Values.webhook.ipv6 }}",
		Gateway: true,
	}
	outside := inside
	outside.EtcdEndpoints, outside.Servers, outside.Authz, outside.NoInjector = etcdValue, serversMark, true, true
	embedded, err := texts(inside)
	if err != nil {
		return nil, err
	}
	external, err := texts(outside)
	if err != nil {
		return nil, err
	}
	outside.Redis = redisValue
	shared, err := texts(outside)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for name, text := range map[string]string{
		"network":  embedded["network"],
		"server":   either("etcd.endpoints", external["server"], onlyOne+embedded["server"]),
		"operator": either("webhook.enabled", embedded["operator"], external["operator"]),
		"webhook":  either("webhook.enabled", embedded["webhook"], ""),
		"policy":   embedded["policy"],
		"authz":    either("authz.enabled", needsInjector+needsEtcd+either("authz.redis", shared["authz"], external["authz"]), ""),
		"gateway":  either("gateway.enabled", needsInjector+embedded["gateway"], ""),
	} {
		files[name+".yaml"] = []byte(file + marks.Replace(text))
	}
	return files, nil
}

const needsInjector = `{{- if not .Values.webhook.enabled }}
{{- fail "authz.enabled and gateway.enabled need webhook.enabled: ` + joinThere + `" }}
{{- end }}
`

const needsEtcd = `{{- if not .Values.etcd.endpoints }}
{{- fail "authz.enabled needs etcd.endpoints: AuthZ services share their keys through etcd" }}
{{- end }}
`

const onlyOne = `{{- if gt (int .Values.server.replicas) 1 }}
{{- fail "server.replicas needs etcd.endpoints: an etcd inside the server has one member, so there is one server" }}
{{- end }}
`

// either is one text if a value is there, and otherwise another.
func either(value, one, other string) string {
	if other != "" {
		other = "{{- else }}\n" + other
	}
	return "{{- if .Values." + value + " }}\n" + one + other + "{{- end }}\n"
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
