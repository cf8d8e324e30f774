// Package certificates keeps the certificate that the operator's webhook serves,
// and the roots that the API server and pods verify it by, without cert-manager
// or a command to run first.
//
// [Keeper] is its type. All replicas share one Secret: who comes first makes the
// authority, and every change is a compare-and-swap, so that two never serve what
// the other's clients refuse. The Keeper also writes the roots into the
// MutatingWebhookConfiguration, and back when somebody took them out.
//
// [state.advance] is the whole plan, as a pure function of the time: the next
// authority is trusted long before it signs, and the one before is trusted until
// it ends. Nothing starts by itself: [Keeper.Run] owns its goroutines.
package certificates
