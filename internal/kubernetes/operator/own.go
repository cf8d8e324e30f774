package operator

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// asksWhich is how often a cluster is asked whether it answers and still is the one it
// was: behind an address another may have come to answer. answersWhich is how long an
// answer takes at most.
const asksWhich, answersWhich = 5 * time.Second, 10 * time.Second

// own runs work while the cluster's name in the mesh is this cluster's, with the one
// client by which anything is written in its name: the registry refuses what it writes
// from the moment on that the name is another's, and then work ends.
func (j *joined) own(ctx context.Context, work func(context.Context, *client.Client) error) error {
	core, err := corev1.NewForConfig(j.Config)
	if err != nil {
		return err
	}
	uid, err := j.which(ctx, core)
	if err != nil {
		return err
	}
	if err := j.claim(ctx, uid); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	watching := make(chan struct{})
	go func() { // ends with ctx, and is waited for
		defer close(watching)
		j.follow(ctx, core, uid, cancel)
	}()
	registry := j.operator.cfg.Registry.OfSource(uid, cancel)
	j.writes.Store(registry) // stays when work ends: the registry judges each write
	err = work(ctx, registry)
	cancel(err)
	<-watching
	if why := context.Cause(ctx); why != nil {
		err = why // the first
	}
	if isOthers(err) {
		j.claimed = "" // ask again before anything is written
		j.writes.Store(nil)
	}
	return err
}

// which gives what tells a cluster from any other for as long as it lives.
func (j *joined) which(ctx context.Context, core corev1.NamespacesGetter) (string, error) {
	limited, cancel := context.WithTimeout(ctx, answersWhich)
	defer cancel()
	system, err := core.Namespaces().Get(limited, metav1.NamespaceSystem, metav1.GetOptions{})
	j.reach.heard(ctx, err)
	if err != nil {
		return "", fmt.Errorf("read which cluster it is, from the uid of its namespace %s: %w", metav1.NamespaceSystem, err)
	}
	return string(system.UID), nil
}

// follow ends the work when another cluster has come to answer.
func (j *joined) follow(ctx context.Context, core corev1.NamespacesGetter, uid string, end context.CancelCauseFunc) {
	tick := time.NewTicker(asksWhich)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now, err := j.which(ctx, core); err == nil && now != uid {
			j.writes.Store(nil)
			end(fmt.Errorf("another cluster answers than before: the uid of its namespace %s is %s, and was %s", metav1.NamespaceSystem, now, uid))
			return
		}
	}
}

// claim notes in the registry that the cluster's name is this cluster's. Done once, it
// need not be done again while no server can be reached.
func (j *joined) claim(ctx context.Context, uid string) error {
	if j.claimed == uid {
		return nil
	}
	err := j.operator.cfg.Registry.NoteKeeper(ctx, j.Name, mesh.KeeperSource{Source: uid, Instead: j.Instead, Renamed: j.Renamed})
	taken := isOthers(err)
	j.operator.metrics.taken(j.Name, taken)
	switch {
	case taken:
		err = fmt.Errorf("%s: %w", j.howOwned(err), err)
		j.refused.Store(&err)
		j.writes.Store(nil)
	case err == nil:
		j.claimed = uid
		j.refused.Store(nil)
	}
	return err
}

// isOthers says whether a write was refused because the cluster's name is not its own.
func isOthers(err error) bool {
	reason := mesh.ReasonOf(err)
	return reason == mesh.ReasonOtherSource || reason == mesh.ReasonOtherName
}

// howOwned says why nothing is written for the cluster, and how that is mended.
func (j *joined) howOwned(err error) string {
	if mesh.ReasonOf(err) == mesh.ReasonOtherName {
		return fmt.Sprintf("this cluster has another name in the mesh already, so nothing is written for it as %s: another operator joins it, which is enough; or if %s is its new name, end that operator and start this one with --rename-cluster %s=OLD", j.Name, j.Name, j.Name)
	}
	return fmt.Sprintf("another cluster is called %s in the mesh, so nothing is written for this one: give it a name of its own, or if the other has gone for good and this one takes its place, start once with --adopt-cluster %s=UID of the other", j.Name, j.Name)
}

// Gate gives the client by which anything may be written in a cluster's name, or says
// why nothing is.
func (o *Operator) Gate(cluster string) (*client.Client, error) {
	for _, one := range o.clusters {
		if one.Name != cluster {
			continue
		}
		if why := one.refused.Load(); why != nil {
			return nil, *why
		}
		if writes := one.writes.Load(); writes != nil {
			return writes, nil
		}
	}
	return nil, mesh.Unavailable(nil, "whether this cluster is the one that is called %s in the mesh is not known yet: try again", cluster)
}

// NameTaken says that a cluster's name is another cluster's, or the cluster has another;
// nil: not that anybody knew.
func (o *Operator) NameTaken(cluster string) error {
	if _, err := o.Gate(cluster); isOthers(err) {
		return err
	}
	return nil
}
