package operator

import (
	"errors"
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Connect names a cluster and how its API is reached: by a kubeconfig file; without one as
// the pod that this process runs in, or else by the default kubeconfig. Nothing is
// connected yet.
func Connect(name, kubeconfig string) (Cluster, error) {
	if fault := mesh.OfCluster(name).Fault(); fault != "" || name == "" {
		return Cluster{}, fmt.Errorf("cluster %q: its name in the mesh has to be a DNS label such as \"prod\"", name)
	}
	config, err := configOf(kubeconfig)
	if err != nil {
		return Cluster{}, fmt.Errorf("cluster %q: %w", name, err)
	}
	config.UserAgent = ourName
	// The API server knows better than a client how much it can take (priority and fairness).
	config.QPS, config.Burst = 200, 400
	return Cluster{Name: name, Config: config}, nil
}

func configOf(kubeconfig string) (*rest.Config, error) {
	if kubeconfig != "" {
		config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
		if err != nil {
			return nil, fmt.Errorf("read the kubeconfig %s: %w", kubeconfig, err)
		}
		return config, nil
	}
	config, err := rest.InClusterConfig()
	if err == nil || !errors.Is(err, rest.ErrNotInCluster) {
		return config, err
	}
	config, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("this is no pod, and there is no kubeconfig: name one with --cluster NAME=KUBECONFIG (%w)", err)
	}
	return config, nil
}
