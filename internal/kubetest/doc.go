// Package kubetest lets tests use a real Kubernetes: [Shared] gives the one
// cluster of a test binary, in which each test has a [Cluster.Namespace] of its
// own; [Start] runs another, for tests that stop its API server
// ([Cluster.StopServer], [Cluster.KillServer], [Cluster.StartServer],
// [Cluster.Compact]) or need other flags. Without the programs, which
// hack/kube.sh builds, tests are skipped and say so.
//
// A [Cluster] is etcd, the API server and the controller manager as processes
// on loopback. It has no hosts at first: a [Kubelet] stands in for one and says
// of pods what the test wants said, and the real controllers make EndpointSlices
// of it; a [Node] is a real one, whose pods run from an [Image]. RBAC holds: [Cluster.User] and [Cluster.ServiceAccountToken] are
// nobodies until [Cluster.Allow]. Webhooks are reached by URL on loopback.
//
// A goroutine owns each process, and the end of the test, or with Shared of
// all tests, waits for it; the kernel ends the processes of a test binary that
// was killed.
package kubetest
