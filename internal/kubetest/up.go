package kubetest

import (
	"context"
	"errors"
	"fmt"
)

// Up runs a cluster until ctx ends, for people who try something: no hosts, so pods stay
// Pending. ready is called with its kubeconfig once it answers. It leaves nothing behind.
func Up(ctx context.Context, ready func(kubeconfig string) error) error {
	found, lacks, err := look(names...)
	if err != nil {
		return err
	}
	if lacks != "" {
		return fmt.Errorf("no Kubernetes (%s): run hack/kube.sh", lacks)
	}
	c, err := launch(found, Config{}) //nolint:contextcheck // it is ended by close, whenever ctx ends
	if err != nil {
		return err
	}
	if err := ready(c.Kubeconfig); err != nil {
		return errors.Join(err, c.close())
	}
	select {
	case <-ctx.Done():
	case <-c.etcd.Exited():
		err = errors.New("etcd ended")
	case <-c.server.Exited():
		err = errors.New("kube-apiserver ended")
	case <-c.controllers.Exited():
		err = errors.New("kube-controller-manager ended")
	}
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, c.logs())
	}
	return errors.Join(err, c.close())
}
