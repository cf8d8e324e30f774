// Package webhook answers the API server, which asks before it stores a pod:
// [Handler] takes an AdmissionReview (admission.k8s.io/v1) over HTTPS and answers
// with the patch that package inject makes, with its warnings, or with a refusal.
//
// It is thin: nothing is kept between two requests, nothing is asked of anybody,
// so that replicas are equal and an answer takes about a millisecond. What callers may
// hold before that is for intake to bound. Its
// certificates are package certificates' work.
package webhook
