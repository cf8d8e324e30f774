package install

import (
	"cmp"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

const heddleFolder = "/etc/heddle"

// etcdArgs are how an etcd outside is reached.
func (o Options) etcdArgs() []string {
	const folder = heddleFolder + "/etcd/"
	return []string{
		"--etcd-endpoints=" + o.EtcdEndpoints,
		"--etcd-ca-file=" + folder + "ca.crt", "--etcd-cert-file=" + folder + "tls.crt", "--etcd-key-file=" + folder + "tls.key",
	}
}

// server is the control plane: one with an etcd of its own, or several with one
// outside. Their plain ports are on loopback, where heddle in the pod finds them.
func (o Options) server() []runtime.Object {
	all := []corev1.ServicePort{port("rest", restPort, restPort), port("xds", xdsPort, xdsPort)}
	args := []string{
		"server", "--data-dir=/var/lib/heddle", "--initial-admin-token-file=" + heddleFolder + "/admin/token",
		"--tls-listen=:" + strconv.Itoa(restPort), "--xds-tls-listen=:" + strconv.Itoa(xdsPort),
		"--require-identity", "--mtls=strict", "--host=" + o.host(Server), "--host=" + o.host(eachServer),
	}
	pod := corev1.PodSpec{AutomountServiceAccountToken: new(false), Volumes: []corev1.Volume{tmp()}}
	pod.Containers = []corev1.Container{o.container("server", o.Image, "1Gi", []string{"heddle"}, args)}
	container := &pod.Containers[0]
	container.Ports = ports(all...)
	container.LivenessProbe = probe("/livez", restPort, corev1.URISchemeHTTPS)
	container.ReadinessProbe = probe("/readyz", restPort, corev1.URISchemeHTTPS)
	container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: "data", MountPath: "/var/lib/heddle"})
	mounted(&pod, "admin", adminToken, heddleFolder+"/admin")
	pod.Volumes[len(pod.Volumes)-1].Secret.Optional = new(true) // once its token is known, it may go
	service := o.service(Server, all...)
	budget, policy := o.disruption(Server), o.networkPolicy(Server, from("", targets(all)...), names)
	each := o.service(eachServer, all...)
	each.Spec.ClusterIP, each.Spec.Selector = corev1.ClusterIPNone, service.Spec.Selector
	if o.EtcdEndpoints != "" {
		policy.Spec.Egress = append(policy.Spec.Egress, anywhere(o.etcdPorts()...))
		container.Args = append(container.Args, o.etcdArgs()...)
		container.Args = append(container.Args, "--ca-key="+heddleFolder+"/authority/ca.key", "--ca-cert="+heddleFolder+"/authority/ca.crt")
		mounted(&pod, "etcd", etcdSecret, heddleFolder+"/etcd")
		mounted(&pod, "authority", authoritySec, heddleFolder+"/authority")
		pod.Volumes = append(pod.Volumes, corev1.Volume{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
		return []runtime.Object{service, each, o.deployment(Server, o.Servers, pod), budget, policy}
	}
	one := int32(1) // its etcd has one member
	set := &appsv1.StatefulSet{
		TypeMeta: kind("apps/v1", "StatefulSet"), ObjectMeta: o.meta(Server),
		Spec: appsv1.StatefulSetSpec{
			Replicas: &one, ServiceName: Server, Selector: selector(Server), Template: podTemplate(Server, pod),
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{
				ObjectMeta: metav1.ObjectMeta{Name: "data"},
				Spec: corev1.PersistentVolumeClaimSpec{
					AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
					Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("8Gi")}},
				},
			}},
		},
	}
	return []runtime.Object{service, each, set, budget, policy}
}

// authz are AuthZ services, and the Redis that they share tokens through, if there
// is none outside.
func (o Options) authz() []runtime.Object {
	all := []corev1.ServicePort{port("grpc", authzPort, authzPort), port("keys", keysPort, keysPort)}
	args := append([]string{
		"authz", "--listen=0.0.0.0:" + strconv.Itoa(authzPort), "--http-listen=0.0.0.0:" + strconv.Itoa(keysPort),
		"--advertise=$(POD_IP):" + strconv.Itoa(authzPort), "--key-file=" + heddleFolder + "/keys/secret",
		"--server=https://" + o.host(Server) + ":" + strconv.Itoa(restPort),
		"--identity-dir=/var/lib/heddle",
		"--redis=" + cmp.Or(o.Redis, o.host(Redis)+":"+strconv.Itoa(redisPort)),
	}, o.etcdArgs()...)
	pod := corev1.PodSpec{AutomountServiceAccountToken: new(false), Volumes: []corev1.Volume{tmp(), memory("identity")}}
	pod.Containers = []corev1.Container{o.container("authz", o.Image, "512Mi", []string{"heddle"}, args)}
	container := &pod.Containers[0]
	container.Env = []corev1.EnvVar{fieldVariable("POD_IP", "status.podIP")}
	container.Ports = ports(all...)
	container.LivenessProbe = probe("/livez", keysPort, corev1.URISchemeHTTP)
	container.ReadinessProbe = probe("/readyz", keysPort, corev1.URISchemeHTTP)
	container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: "identity", MountPath: "/var/lib/heddle"})
	mounted(&pod, "etcd", etcdSecret, heddleFolder+"/etcd")
	mounted(&pod, "keys", keysSecret, heddleFolder+"/keys")
	account := o.attested(&pod, Authz, o.ownOperator())
	tokens := to(Redis, redisPort)
	if o.Redis != "" {
		tokens = anywhere(o.redisPort())
	}
	objects := []runtime.Object{
		account, o.service(Authz, all...), o.deployment(Authz, 2, pod), o.disruption(Authz),
		o.networkPolicy(Authz, from("", targets(all)...), names, to(Server, restPort), to(Operator, webhookPort), anywhere(o.etcdPorts()...), tokens),
	}
	if o.Redis != "" {
		return objects
	}
	return append(objects, o.redis()...)
}

// redis is a cache: what is in it is encrypted, and may be lost.
func (o Options) redis() []runtime.Object {
	redis := corev1.PodSpec{AutomountServiceAccountToken: new(false), Volumes: []corev1.Volume{tmp()}}
	redis.Containers = []corev1.Container{o.container("redis", "redis:7.0", "256Mi", []string{"redis-server"}, []string{
		"--port", strconv.Itoa(redisPort), "--save", "", "--appendonly", "no", "--maxmemory", "192mb", "--maxmemory-policy", "allkeys-lru", "--dir", "/tmp",
	})}
	redisPorts := []corev1.ServicePort{port("redis", redisPort, redisPort)}
	container := &redis.Containers[0]
	container.Ports = ports(redisPorts...)
	container.ReadinessProbe, container.LivenessProbe = probeTCP(redisPort), probeTCP(redisPort)
	return []runtime.Object{o.service(Redis, redisPorts...), o.deployment(Redis, 1, redis), o.networkPolicy(Redis, from(Authz, redisPort))}
}

// memory is a volume whose content goes with the pod: keys are made anew.
func memory(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}}}
}
