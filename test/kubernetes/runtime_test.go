package kubernetes_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/heddle-mesh/heddle/internal/childtest"
	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/kubetest"
	"github.com/heddle-mesh/heddle/internal/logtest"
)

// hostAddress is where pods find what runs in this namespace: the control plane.
const hostAddress = "10.79.0.254"

// host stands in for the kubelet and the container runtime of one host: it runs the
// processes that a pod's spec names, in a network namespace of the pod.
type host struct {
	t       *testing.T
	cluster *kubetest.Cluster
	binary  string // folder of heddle, envoy and the application, as in an image
	hosts   string // further lines of each space's /etc/hosts
	spaces  int
}

func newHost(t *testing.T, c *kubetest.Cluster) *host {
	t.Helper()
	for _, program := range []string{"iptables-restore", "curl", "setpriv"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("not on this machine: %v", err)
		}
	}
	h := &host{t: t, cluster: c}
	var err error
	if h.binary, err = os.MkdirTemp("", "heddle-image-"); err != nil { // others than root read it
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(h.binary) })
	built := heddle.Path(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for to, from := range map[string]string{"heddle": built, "envoy": envoytest.Path(t), "app": self} {
		h.must("cp", from, filepath.Join(h.binary, to))
	}
	h.must("chmod", "-R", "a+rX", h.binary)
	h.ip("link add mesh0 type bridge")
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", "mesh0").Run() })
	h.ip("addr add " + hostAddress + "/24 dev mesh0")
	h.ip("link set mesh0 up")
	return h
}

func (h *host) must(program string, arguments ...string) {
	h.t.Helper()
	if out, err := exec.Command(program, arguments...).CombinedOutput(); err != nil {
		h.t.Fatalf("%s %v: %v: %s", program, arguments, err, out)
	}
}

func (h *host) ip(line string) {
	h.t.Helper()
	h.must("ip", strings.Fields(line)...)
}

// space is a network namespace with an address, and a folder for volumes.
type space struct {
	host          *host
	name, address string
	folder        string
	log           logtest.Buffer
}

// space makes one, as a CNI plugin does.
func (h *host) space() *space {
	h.t.Helper()
	h.spaces++
	s := &space{host: h, name: fmt.Sprintf("hdk-%d-%d", os.Getpid(), h.spaces), address: fmt.Sprintf("10.79.0.%d", h.spaces)}
	var err error
	if s.folder, err = os.MkdirTemp("", "heddle-volumes-"); err != nil {
		h.t.Fatal(err)
	}
	h.must("chmod", "0755", s.folder)
	h.t.Cleanup(func() { _ = os.RemoveAll(s.folder) })
	h.ip("netns add " + s.name)
	h.t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", s.name).Run() })
	for _, line := range []string{
		fmt.Sprintf("link add veth%d type veth peer name eth0 netns %s", h.spaces, s.name),
		fmt.Sprintf("link set veth%d master mesh0 up", h.spaces),
		"-n " + s.name + " link set lo up",
		"-n " + s.name + " addr add " + s.address + "/24 dev eth0",
		"-n " + s.name + " link set eth0 up",
		"-n " + s.name + " route add default via " + hostAddress,
	} {
		h.ip(line)
	}
	resolver := "nameserver " + hostAddress + "\n"                                                        // as the cluster's DNS; nobody answers there
	if err := os.WriteFile(filepath.Join(s.folder, "resolv.conf"), []byte(resolver), 0o644); err != nil { //nolint:gosec // pods read it
		h.t.Fatal(err)
	}
	hosts := "127.0.0.1 localhost\n" + h.hosts
	if err := os.WriteFile(filepath.Join(s.folder, "hosts"), []byte(hosts), 0o644); err != nil { //nolint:gosec // pods read it
		h.t.Fatal(err)
	}
	return s
}

// command prepares a program in the namespace, with some rights.
func (s *space) command(rights []string, program string, arguments ...string) *exec.Cmd {
	line := append([]string{"--net=/run/netns/" + s.name, "unshare", "--mount", "bash", "-c", `mount --bind "$0/resolv.conf" /etc/resolv.conf && mount --bind "$0/hosts" /etc/hosts && exec setpriv "$@"`,
		s.folder}, rights...)
	command := exec.Command("nsenter", append(append(line, program), arguments...)...)
	command.Env = []string{"PATH=" + os.Getenv("PATH")}
	command.Stdout, command.Stderr = &s.log, &s.log
	return command
}

// as is how setpriv becomes a user without rights.
func as(user string) []string {
	return []string{"--reuid", user, "--regid", user, "--clear-groups", "--bounding-set", "-all", "--no-new-privs"}
}

const appUser = "4242"

// background runs a command until the test ends.
func (s *space) background(command *exec.Cmd) {
	s.host.t.Helper()
	child, err := childtest.Start(command)
	if err != nil {
		s.host.t.Fatal(err)
	}
	s.host.t.Cleanup(func() {
		if !child.Stop(15 * time.Second) {
			s.host.t.Errorf("%v did not end", command.Args)
		}
		if s.host.t.Failed() {
			s.host.t.Logf("log of %s:\n%s", s.name, s.log.String())
			s.log = logtest.Buffer{}
		}
	})
}

// application runs the test's application in the namespace.
func (s *space) application(address, says string) {
	command := s.command(as(appUser), filepath.Join(s.host.binary, "app"))
	command.Env = append(command.Env, podApp+"="+address+" "+says, podControl+"="+s.address+":"+controlPort)
	s.background(command)
}

// curl asks as the application does.
func (s *space) curl(url string, arguments ...string) (status int, body string) {
	command := s.command(as(appUser), "curl", append([]string{"-sS", "-m", "10", "-w", "\n%{http_code}", url}, arguments...)...)
	command.Stdout, command.Stderr = nil, nil
	out, _ := command.CombinedOutput() // what fails has no status
	text := strings.TrimRight(string(out), "\n")
	at := strings.LastIndex(text, "\n")
	status, _ = strconv.Atoi(strings.TrimSpace(text[at+1:]))
	return status, text[:max(at, 0)]
}

// runPod runs what an injected pod's spec says: its init containers in order, each
// sidecar until it is started up, then the application, and has it ready when its
// probe says so.
func (h *host) runPod(kubelet *kubetest.Kubelet, pod *corev1.Pod, says string) *space {
	h.t.Helper()
	s := h.space()
	h.volumes(s, pod)
	kubelet.SetStatus(h.t, pod, func(pod *corev1.Pod) {
		pod.Status.PodIP, pod.Status.PodIPs = s.address, []corev1.PodIP{{IP: s.address}}
	})
	for _, container := range pod.Spec.InitContainers {
		command := s.container(pod, container)
		if container.RestartPolicy == nil {
			if err := command.Run(); err != nil {
				h.t.Fatalf("init container %s of %s: %v\n%s", container.Name, pod.Name, err, s.log.String())
			}
			continue
		}
		s.background(command)
		s.awaits(container.Name, container.StartupProbe)
	}
	container := pod.Spec.Containers[0]
	s.application(":"+strconv.Itoa(int(container.Ports[0].ContainerPort)), says)
	s.awaits(container.Name, container.ReadinessProbe)
	kubelet.RunPod(h.t, pod, s.address)
	return s
}

// volumes makes folders of a pod's volumes, with what the kubelet puts there.
func (h *host) volumes(s *space, pod *corev1.Pod) {
	h.t.Helper()
	for _, volume := range pod.Spec.Volumes {
		folder := filepath.Join(s.folder, volume.Name)
		h.must("install", "-d", "-m", "1777", folder)
		switch {
		case volume.Projected != nil && volume.Projected.Sources[0].ServiceAccountToken.Audience == "heddle":
			s.project(pod, volume)
		case volume.Secret != nil:
			h.secret(folder, pod.Namespace, volume.Secret)
		case volume.ConfigMap != nil:
			h.configMap(folder, pod.Namespace, volume.ConfigMap.Name)
		}
	}
}

// secret writes a Secret's files, as soon as there is one.
func (h *host) secret(folder, namespace string, source *corev1.SecretVolumeSource) {
	h.t.Helper()
	var secret *corev1.Secret
	kubetest.Eventually(h.t, "have Secret "+source.SecretName, func() (err error) {
		secret, err = h.cluster.Client.CoreV1().Secrets(namespace).Get(h.t.Context(), source.SecretName, metav1.GetOptions{})
		return err
	})
	files := map[string]string{}
	for _, one := range source.Items {
		files[one.Path] = one.Key
	}
	if len(source.Items) == 0 {
		for key := range secret.Data {
			files[key] = key
		}
	}
	for path, key := range files {
		if err := os.WriteFile(filepath.Join(folder, path), secret.Data[key], 0o644); err != nil { //nolint:gosec // the pod's user reads it
			h.t.Fatal(err)
		}
	}
}

// configMap writes a ConfigMap's files.
func (h *host) configMap(folder, namespace, name string) {
	h.t.Helper()
	found, err := h.cluster.Client.CoreV1().ConfigMaps(namespace).Get(h.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		h.t.Fatal(err)
	}
	for path, text := range found.Data {
		if err := os.WriteFile(filepath.Join(folder, path), []byte(text), 0o644); err != nil { //nolint:gosec // the pod's user reads it
			h.t.Fatal(err)
		}
	}
}

// awaits makes an httpGet probe from the host until it succeeds.
func (s *space) awaits(container string, probe *corev1.Probe) {
	s.host.t.Helper()
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	kubetest.Eventually(s.host.t, "pass the probe of "+container, func() error {
		url := fmt.Sprintf("http://%s:%d%s", s.address, probe.HTTPGet.Port.IntVal, probe.HTTPGet.Path)
		answer, err := client.Get(url) //nolint:noctx // it has a timeout
		if err != nil {
			return fmt.Errorf("%w\n%s", err, s.log.String())
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s\n%s", url, answer.Status, s.log.String())
		}
		return nil
	})
}

// project writes a service account's token, bound to the pod, as the kubelet does.
func (s *space) project(pod *corev1.Pod, volume corev1.Volume) {
	s.host.t.Helper()
	source := volume.Projected.Sources[0].ServiceAccountToken
	answer, err := s.host.cluster.Client.CoreV1().ServiceAccounts(pod.Namespace).CreateToken(s.host.t.Context(), pod.Spec.ServiceAccountName, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{Audiences: []string{source.Audience}, ExpirationSeconds: source.ExpirationSeconds,
			BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID}},
	}, metav1.CreateOptions{})
	if err != nil {
		s.host.t.Fatal(err)
	}
	path := filepath.Join(s.folder, volume.Name, source.Path)
	if err := os.WriteFile(path, []byte(answer.Status.Token), os.FileMode(*volume.Projected.DefaultMode)); err != nil {
		s.host.t.Fatal(err)
	}
}

// container makes a command of a container of ours: its command, arguments,
// environment, user and capabilities. Its mounts are folders of the host.
func (s *space) container(pod *corev1.Pod, container corev1.Container) *exec.Cmd {
	replace := []string{"$(POD_NAME)", pod.Name, "$(POD_NAMESPACE)", pod.Namespace, "$(POD_IP)", s.address}
	temporary := ""
	for _, mount := range container.VolumeMounts {
		replace = append(replace, mount.MountPath+"/", filepath.Join(s.folder, mount.Name)+"/")
		if mount.MountPath == "/tmp" {
			temporary = filepath.Join(s.folder, mount.Name)
		} else {
			replace = append(replace, mount.MountPath, filepath.Join(s.folder, mount.Name))
		}
	}
	in := strings.NewReplacer(replace...)
	var arguments []string
	for _, one := range container.Args {
		arguments = append(arguments, in.Replace(one))
	}
	security := container.SecurityContext
	runsAs := security.RunAsUser
	if runsAs == nil {
		runsAs = pod.Spec.SecurityContext.RunAsUser
	}
	user := strconv.FormatInt(*runsAs, 10)
	bounds := "-all"
	for _, one := range security.Capabilities.Add {
		bounds += ",+" + strings.ToLower(string(one))
	}
	rights := []string{"--reuid", user, "--regid", user, "--clear-groups", "--bounding-set", bounds, "--no-new-privs"}
	command := s.command(rights, filepath.Join(s.host.binary, container.Command[0]), arguments...)
	command.Env = append(command.Env, "HEDDLE_ENVOY="+filepath.Join(s.host.binary, "envoy"), "TMPDIR="+temporary)
	for _, variable := range container.Env {
		if variable.ValueFrom == nil {
			command.Env = append(command.Env, variable.Name+"="+in.Replace(variable.Value))
		}
	}
	command.Dir = temporary
	return command
}
