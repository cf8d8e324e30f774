package certificates

import (
	"context"
	"sync"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
)

// watch gives a channel that is written to when the Secret or the
// MutatingWebhookConfiguration changes. stop waits for its goroutines; they end
// with it or with ctx.
func (k *Keeper) watch(ctx context.Context) (wake <-chan struct{}, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	changed := make(chan struct{}, 1)
	told := func(any) {
		select {
		case changed <- struct{}{}:
		default: // a look is due already
		}
	}
	handler := cache.ResourceEventHandlerFuncs{AddFunc: told, UpdateFunc: func(before, after any) { told(after) }, DeleteFunc: told}
	var running sync.WaitGroup
	for _, one := range []struct {
		of       cache.Getter
		resource string
		name     string
		space    string
		kind     runtime.Object
	}{
		{k.cfg.Client.CoreV1().RESTClient(), "secrets", k.cfg.Secret, k.cfg.Namespace, &corev1.Secret{}},
		{k.cfg.Client.AdmissionregistrationV1().RESTClient(), "mutatingwebhookconfigurations", k.cfg.Configuration, "", &admissionregistrationv1.MutatingWebhookConfiguration{}},
	} {
		_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
			ListerWatcher: cache.NewListWatchFromClient(one.of, one.resource, one.space, fields.OneTermEqualSelector("metadata.name", one.name)),
			ObjectType:    one.kind, Handler: handler,
		})
		running.Go(func() { informer.RunWithContext(ctx) })
	}
	return changed, func() {
		cancel()
		running.Wait()
	}
}
