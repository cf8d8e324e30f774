package kubernetes_test

import (
	"bufio"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/heddle-mesh/heddle/internal/kubetest"
)

// expiring is a proxy before the API server that can have watches end as they do once etcd
// is compacted beyond what they have seen: with 410 Gone, now and for every further one that
// begins where they were.
type expiring struct {
	*httputil.ReverseProxy

	gate sync.RWMutex // held while watches end: no other begins

	mu      sync.Mutex
	running map[*watch]struct{} // guarded by mu
	refused int                 // guarded by mu: how many began where they may not
	of      string              // guarded by mu: the watches of paths with this
	floor   uint64              // guarded by mu: do not begin before this revision
}

// watch is what the API server sends of one, line by line.
type watch struct {
	path    string
	body    io.ReadCloser
	expired bool // guarded by expiring.mu
}

// startExpiring gives the cluster as it is through the proxy.
func startExpiring(t *testing.T, c *kubetest.Cluster) (*expiring, *kubetest.Cluster) {
	t.Helper()
	real, err := url.Parse(c.Config.Host)
	if err != nil {
		t.Fatal(err)
	}
	secured, err := rest.TLSConfigFor(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: secured}
	t.Cleanup(transport.CloseIdleConnections)
	e := &expiring{running: map[*watch]struct{}{}}
	e.ReverseProxy = &httputil.ReverseProxy{
		Transport: transport, FlushInterval: -1, ModifyResponse: e.follow,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(real)
			if watches(r.In) {
				r.Out.Header.Set("Accept", "application/json") // whose events are lines
			}
		},
	}
	server := httptest.NewUnstartedServer(e)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)

	config, err := clientcmd.LoadFromFile(c.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range config.Clusters {
		*one = clientcmdapi.Cluster{Server: server.URL, CertificateAuthorityData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})}
	}
	through := *c
	through.Kubeconfig = filepath.Join(t.TempDir(), "expiring.kubeconfig")
	if err := clientcmd.WriteToFile(*config, through.Kubeconfig); err != nil {
		t.Fatal(err)
	}
	return e, &through
}

func watches(r *http.Request) bool {
	is, _ := strconv.ParseBool(r.URL.Query().Get("watch"))
	return is
}

// gone is what the API server says of a watch that cannot go on.
var gone = metav1.Status{
	TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure,
	Reason: metav1.StatusReasonExpired, Code: http.StatusGone, Message: "too old resource version: 1 (2)",
}

// ServeHTTP refuses watches that begin before the floor, and passes on all else.
func (e *expiring) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if watches(r) {
		e.gate.RLock()
		refused := e.refuses(r)
		e.gate.RUnlock()
		if refused {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusGone)
			_ = json.NewEncoder(w).Encode(gone)
			return
		}
	}
	e.ReverseProxy.ServeHTTP(w, r)
}

func (e *expiring) refuses(r *http.Request) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	from, _ := strconv.ParseUint(r.URL.Query().Get("resourceVersion"), 10, 64)
	if from == 0 || from >= e.floor || !strings.Contains(r.URL.Path, e.of) {
		return false
	}
	e.refused++
	return true
}

// follow keeps a watch that has begun at hand.
func (e *expiring) follow(answer *http.Response) error {
	if answer.StatusCode != http.StatusOK || !watches(answer.Request) {
		return nil
	}
	one := &watch{path: answer.Request.URL.Path, body: answer.Body}
	reader, writer := io.Pipe()
	answer.Body = reader
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running[one] = struct{}{}
	go e.pass(one, writer)
	return nil
}

// pass gives on whole events, and after the last that the watch has expired, if it has.
func (e *expiring) pass(one *watch, to *io.PipeWriter) {
	defer one.body.Close()
	lines := bufio.NewReader(one.body)
	for {
		line, err := lines.ReadBytes('\n')
		if err == nil {
			_, err = to.Write(line)
		}
		if err != nil {
			break
		}
	}
	e.mu.Lock()
	delete(e.running, one)
	expired := one.expired
	e.mu.Unlock()
	if expired {
		event, _ := json.Marshal(map[string]any{"type": "ERROR", "object": gone})
		_, _ = to.Write(append(event, '\n'))
	}
	_ = to.Close()
}

// expire ends the watches of paths with some text. No other begins before change, which
// none of them sees therefore, is done; and those that begin then where the ended ones were
// are refused. It waits until as many run again.
func (e *expiring) expire(t *testing.T, c *kubetest.Cluster, namespace, of string, change func()) {
	t.Helper()
	ended := e.while(t, c, namespace, of, change)
	awaits(t, "watch again", func() (bool, string) {
		running, refused := e.count(of)
		return running >= ended && refused > 0, fmt.Sprintf("%d of %d watches, %d were refused", running, ended, refused)
	})
	_, refused := e.count(of)
	t.Logf("%d watches of %q ended, %d more were refused", ended, of, refused)
	if ended == 0 {
		t.Errorf("nothing watches %q", of)
	}
}

// while ends watches and has a change made while there are none.
func (e *expiring) while(t *testing.T, c *kubetest.Cluster, namespace, of string, change func()) (ended int) {
	t.Helper()
	e.gate.Lock()
	defer e.gate.Unlock()
	ended = e.end(of)
	change()
	last, err := c.Client.CoreV1().ConfigMaps(namespace).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "last-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	e.mu.Lock()
	e.of, e.refused = of, 0
	if e.floor, err = strconv.ParseUint(last.ResourceVersion, 10, 64); err != nil {
		t.Error(err)
	}
	e.mu.Unlock()
	return ended
}

// end ends the watches of paths with some text, and says how many there were.
func (e *expiring) end(of string) (ended int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for one := range e.running {
		if strings.Contains(one.path, of) {
			one.expired = true
			_ = one.body.Close()
			ended++
		}
	}
	return ended
}

// count says how many watches run, and how many were refused since the last ended.
func (e *expiring) count(of string) (running, refused int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for one := range e.running {
		if strings.Contains(one.path, of) && !one.expired {
			running++
		}
	}
	return running, e.refused
}
