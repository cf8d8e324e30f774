package certificates

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// publish writes the roots into each webhook of the MutatingWebhookConfiguration,
// and says whether they are there. One that does not exist is left so: who deleted
// it turned the injection off.
func (k *Keeper) publish(ctx context.Context, bundle []byte) (there bool, err error) {
	for range 5 { // others write to it too
		if there, err = k.publishOnce(ctx, bundle); !apierrors.IsInvalid(err) && !apierrors.IsConflict(err) {
			break
		}
	}
	return there, err
}

func (k *Keeper) publishOnce(ctx context.Context, bundle []byte) (bool, error) {
	configurations := k.cfg.Client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	found, err := configurations.Get(ctx, k.cfg.Configuration, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		k.cfg.Logger.Debug("no MutatingWebhookConfiguration: nothing is injected", "name", k.cfg.Configuration)
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("read MutatingWebhookConfiguration %s: %w", k.cfg.Configuration, err)
	}
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value"`
	}
	// The test refuses a list that somebody changed since: an index would be another webhook's.
	patch := []operation{{"test", "/metadata/resourceVersion", found.ResourceVersion}}
	for i := range found.Webhooks {
		if !bytes.Equal(found.Webhooks[i].ClientConfig.CABundle, bundle) {
			patch = append(patch, operation{"add", fmt.Sprintf("/webhooks/%d/clientConfig/caBundle", i), bundle})
		}
	}
	if len(patch) == 1 {
		return true, nil
	}
	text, err := json.Marshal(patch)
	if err != nil {
		return false, err
	}
	if _, err := configurations.Patch(ctx, k.cfg.Configuration, types.JSONPatchType, text, metav1.PatchOptions{}); err != nil {
		return false, fmt.Errorf("write the roots into MutatingWebhookConfiguration %s: %w", k.cfg.Configuration, err)
	}
	k.cfg.Logger.Info("the roots of the webhook's certificate are written", "mutatingWebhookConfiguration", k.cfg.Configuration)
	return true, nil
}
