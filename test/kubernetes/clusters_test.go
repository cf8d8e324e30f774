package kubernetes_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/kubetest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// another is a second Kubernetes, with Heddle's custom resources and no controllers.
func another(t *testing.T) *kubetest.Cluster {
	t.Helper()
	if err := addressed(); err != nil {
		t.Skip("pods need addresses of their own: ", err)
	}
	c := kubetest.Start(t, kubetest.Config{NoControllers: true})
	install(t, c)
	return c
}

// uid is what tells a cluster from any other.
func uid(t *testing.T, c *kubetest.Cluster) string {
	t.Helper()
	system, err := c.Client.CoreV1().Namespaces().Get(t.Context(), "kube-system", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return string(system.UID)
}

// says asks an operator over HTTP.
func says(address, path string) string {
	answer, err := http.Get("http://" + address + path) //nolint:noctx // of a test
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	data, _ := io.ReadAll(answer.Body)
	return answer.Status + ": " + string(data)
}

// operate starts an operator of the test's own, and gives where it answers.
func (w *world) operate(flags ...string) (*program, string) {
	w.t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", heddletest.FreePort(w.t))
	return start(w.t, append([]string{"operator", "--server", w.server.said["rest"], "--token-file", w.token, "--log-level", "debug", "--http-listen", address, "--namespace", "default"}, flags...)...), address
}

// Two clusters of one name: the second has nothing withdrawn that the first has. When it
// was made anew in the first one's place, it is told so and takes over, once and for all.
func TestASecondClusterOfANameIsRefused(t *testing.T) {
	first := cluster(t)
	second := another(t)
	w := join(t, first)
	shop, other := first.Namespace(t), second.Namespace(t)
	first.Apply(t, meshService(shop, "of-the-first", "x"))
	w.awaitCondition(shop, "meshservice/of-the-first", "Accepted", "True Accepted")
	second.Apply(t, meshService(other, "of-the-second", "x"))

	refused, at := w.operate("--cluster", w.name+"="+second.Kubeconfig)
	awaits(t, "be refused", func() (bool, string) {
		got := says(at, "/readyz")
		return strings.HasPrefix(got, "503") && strings.Contains(got, "another cluster is called prod") && strings.Contains(got, uid(t, first)), got
	})
	if got := says(at, "/metrics"); !strings.Contains(got, `heddle_operator_name_taken{cluster="prod"} 1`) || !strings.Contains(got, `heddle_operator_leading{cluster="prod"} 0`) {
		t.Errorf("its metrics are %s", got)
	}
	has := func(want ...mesh.ServiceName) func() (bool, string) {
		return func() (bool, string) {
			var got []mesh.ServiceName
			for _, name := range []mesh.ServiceName{"of-the-first", "of-the-second", "late"} {
				if _, err := w.api.Service(t.Context(), name); err == nil {
					got = append(got, name)
				}
			}
			return fmt.Sprint(got) == fmt.Sprint(want), fmt.Sprint(got)
		}
	}
	if is, got := has("of-the-first")(); !is {
		t.Fatalf("the registry has %s", got)
	}
	refused.End()

	adopting, at := w.operate("--cluster", w.name+"="+second.Kubeconfig, "--adopt-cluster", w.name+"="+uid(t, first))
	adopting.awaitReady()
	awaits(t, "have the second's objects alone", has("of-the-second"))
	first.Apply(t, meshService(shop, "late", "x")) // whose operator still runs
	awaits(t, "say that it lost its name", func() (bool, string) {
		log := w.operator.Log.String()
		return strings.Contains(log, "another cluster is called prod"), log
	})
	if is, got := has("of-the-second")(); !is {
		t.Errorf("the registry has %s", got)
	}
	if got := says(at, "/readyz"); !strings.HasPrefix(got, "200") {
		t.Errorf("the second: %s", got)
	}
	adopting.Kill() // the flag may stay where it is
	adopting.Run()
	adopting.awaitReady()
}

// One cluster of two names: the second operator writes nothing, and says so; when the
// cluster was renamed, it is told so and goes on under the new name.
func TestASecondNameOfAClusterIsRefused(t *testing.T) {
	c := cluster(t)
	w := join(t, c)
	own := c.Namespace(t)
	refused, at := w.operate("--cluster", "renamed="+c.Kubeconfig, "--token-file", w.admin, "--no-leader-election")
	awaits(t, "be refused", func() (bool, string) {
		got := says(at, "/readyz")
		return strings.HasPrefix(got, "503") && strings.Contains(got, "another name in the mesh already") && strings.Contains(got, "kubernetes/prod") && strings.Contains(got, "--rename-cluster renamed=OLD"), got
	})
	if log := refused.Log.String(); !strings.Contains(log, "another name in the mesh already") {
		t.Errorf("its log is %s", log)
	}
	if got := says(at, "/metrics"); !strings.Contains(got, `heddle_operator_name_taken{cluster="renamed"} 1`) {
		t.Errorf("its metrics are %s", got)
	}
	refused.End()

	renamed, _ := w.operate("--cluster", "renamed="+c.Kubeconfig, "--token-file", w.admin, "--no-leader-election", "--rename-cluster", "renamed=prod")
	renamed.awaitReady()
	c.Apply(t, meshService(own, "of-a-renamed-cluster", "x"))
	awaits(t, "be kept under the new name", func() (bool, string) {
		got, err := w.api.Service(t.Context(), "of-a-renamed-cluster")
		return got.Meta.Keeper == mesh.Keeper("kubernetes/renamed/"+own+"/of-a-renamed-cluster"), fmt.Sprint(got.Meta.Keeper, err)
	})
	awaits(t, "say that it lost its name", func() (bool, string) {
		log := w.operator.Log.String()
		return strings.Contains(log, "another name in the mesh already"), log
	})
}

// One process joins two clusters, and the one goes on while the other's API is away.
func TestOneOperatorOfTwoClusters(t *testing.T) {
	first := cluster(t)
	second := another(t)
	w := join(t, first)
	w.operator.End()
	both, _ := w.operate("--cluster", w.name+"="+first.Kubeconfig, "--cluster", "stage="+second.Kubeconfig, "--token-file", w.admin)
	both.awaitReady()
	here, there := first.Namespace(t), second.Namespace(t)
	first.Apply(t, meshService(here, "in-prod", "x"))
	second.Apply(t, meshService(there, "in-stage", "x"))
	keeper := func(name mesh.ServiceName, want string) {
		t.Helper()
		awaits(t, string(name)+" to be kept by "+want, func() (bool, string) {
			got, err := w.api.Service(t.Context(), name)
			return string(got.Meta.Keeper) == want, fmt.Sprint(got.Meta.Keeper, err)
		})
	}
	keeper("in-prod", "kubernetes/prod/"+here+"/in-prod")
	keeper("in-stage", "kubernetes/stage/"+there+"/in-stage")
	// One name in both: the first to come has it, and the other cluster's object says so.
	second.Apply(t, meshService(there, "in-prod", "x"))
	awaits(t, "be taken", func() (bool, string) {
		got := condition(t, second, there, "meshservice/in-prod", "Accepted")
		return strings.HasPrefix(got, "False NameTaken"), got
	})
	second.StopServer(t)
	first.Apply(t, meshService(here, "meanwhile", "x"))
	keeper("meanwhile", "kubernetes/prod/"+here+"/meanwhile")
	if _, err := w.api.Service(t.Context(), "in-stage"); err != nil {
		t.Errorf("what a cluster that is away has: %v", err)
	}
	second.StartServer(t)
	second.Apply(t, meshService(there, "back", "x"))
	keeper("back", "kubernetes/stage/"+there+"/back")
}

// An API server that goes is told of once, and so is its return; the operator stays ready
// meanwhile, though its manager ends with the lease.
func TestAnAPIServerThatIsAwayIsToldOf(t *testing.T) {
	c := another(t)
	w := &world{t: t, cluster: c, name: "away"}
	w.serve()
	operator, at := w.operate("--cluster", "away="+c.Kubeconfig, "--lease-duration", "3s")
	operator.awaitReady()
	const gone, back = "the cluster's API server does not answer", "the cluster's API server answers again"
	state := func(readyz, metric string) {
		t.Helper()
		awaits(t, "say "+readyz, func() (bool, string) {
			ready, metrics := says(at, "/readyz"), says(at, "/metrics")
			return strings.HasPrefix(ready, "200") && (readyz == "" && !strings.Contains(ready, "away") || readyz != "" && strings.Contains(ready, readyz)) &&
				strings.Contains(metrics, `heddle_operator_cluster_connected{cluster="away"} `+metric), ready
		})
	}
	state("", "1")
	c.KillServer(t)
	state("cluster away: its API server does not answer since", "0")
	awaits(t, "begin again twice", func() (bool, string) {
		log := operator.Log.String()
		return strings.Count(log, "the cluster is not followed; beginning again") > 1, log
	})
	state("cluster away: its API server does not answer since", "0")
	c.StartServer(t)
	state("", "1")
	for _, once := range []string{gone, back} {
		if log := operator.Log.String(); strings.Count(log, once) != 1 {
			t.Errorf("%q is in the log %d times", once, strings.Count(log, once))
		}
	}
	// One warning is of the lease, which may end before anybody has asked.
	if log := operator.Log.String(); strings.Count(log, "level=WARN msg=\"the cluster is not followed") > 1 {
		t.Errorf("each try is told of: %s", log)
	}
	own := c.Namespace(t)
	c.Apply(t, meshService(own, "after-away", "x"))
	awaits(t, "be written", func() (bool, string) {
		_, err := w.api.Service(t.Context(), "after-away")
		return err == nil, fmt.Sprint(err)
	})
}

// Pods of a second cluster of a name are told why they may not join, and the registry
// makes no join token for them, even before their operator has noticed.
func TestPodsOfASecondClusterOfANameDoNotJoin(t *testing.T) {
	first := cluster(t)
	second := another(t)
	own := second.Namespace(t)
	newHost(t, second)
	w := joinStrictly(t, second, own) // notes the second's name
	uidOfSecond := uid(t, second)
	w.awaitReadyz("") // it is its own yet
	if err := w.api.NoteKeeper(t.Context(), w.name, mesh.KeeperSource{Source: uid(t, first), Instead: uidOfSecond}); err != nil {
		t.Fatal(err)
	}
	writes := w.api.KeptBy(mesh.OfCluster(w.name)).OfSource(uidOfSecond, nil)
	_, _, err := writes.CreateJoinToken(t.Context(), mesh.Identity{Kind: mesh.GatewayIdentity, Name: "not-joined"}, "", 0, 1)
	if mesh.ReasonOf(err) != mesh.ReasonOtherSource {
		t.Errorf("a join token in the name of the other: %v", err)
	}
	second.Apply(t, meshService(second.Namespace(t), "of-neither", "x")) // whose write is refused
	w.awaitReadyz("another cluster is called prod")
}

// awaitReadyz waits until the operator is ready, and has something to say or nothing.
func (w *world) awaitReadyz(says string) {
	w.t.Helper()
	awaits(w.t, "say "+says, func() (bool, string) {
		status, text := w.ask("/readyz")
		return status == http.StatusOK && strings.Contains(text, says) && (says != "" || !strings.Contains(text, "another cluster")), fmt.Sprint(status, text)
	})
}
