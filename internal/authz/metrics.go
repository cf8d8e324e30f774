package authz

import "github.com/prometheus/client_golang/prometheus"

// issuerMetrics count where tokens come from and how Redis does.
type issuerMetrics struct {
	memory, redis, signed                   prometheus.Counter
	redisFailed, redisRefused, redisDropped prometheus.Counter
	signing                                 prometheus.Histogram
}

func newIssuerMetrics(r prometheus.Registerer) issuerMetrics {
	tokens := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "heddle_authz_tokens_total", Help: "Tokens given, by where they came from: memory, redis or signed."}, []string{"source"})
	trouble := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "heddle_authz_redis_trouble_total", Help: "What went wrong with Redis: failed (no answer, or an error), refused (a value that is not a token of ours), dropped (not written, too many waited)."}, []string{"what"})
	signing := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "heddle_authz_sign_seconds", Help: "How long it took to sign a token, waiting for a signer left out.",
		Buckets: prometheus.ExponentialBuckets(25e-6, 2, 12),
	})
	if r != nil {
		r.MustRegister(tokens, trouble, signing)
	}
	return issuerMetrics{
		signing: signing,
		memory:  tokens.WithLabelValues("memory"), redis: tokens.WithLabelValues("redis"), signed: tokens.WithLabelValues("signed"),
		redisFailed: trouble.WithLabelValues("failed"), redisRefused: trouble.WithLabelValues("refused"), redisDropped: trouble.WithLabelValues("dropped"),
	}
}

// serviceMetrics count the answers.
type serviceMetrics struct {
	allowed, denied, observed, warned, unavailable prometheus.Counter
	took                                           prometheus.Histogram
}

func newServiceMetrics(r prometheus.Registerer) serviceMetrics {
	checks := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "heddle_authz_checks_total", Help: "Answers to sidecars: allowed, denied, observed or warned (refused in name only, the request passed), unavailable."}, []string{"answer"})
	took := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "heddle_authz_check_seconds", Help: "How long an answer to a sidecar took.",
		Buckets: prometheus.ExponentialBuckets(10e-6, 3, 12),
	})
	if r != nil {
		r.MustRegister(checks, took)
	}
	return serviceMetrics{
		took:    took,
		allowed: checks.WithLabelValues("allowed"), denied: checks.WithLabelValues("denied"), observed: checks.WithLabelValues("observed"),
		warned: checks.WithLabelValues("warned"), unavailable: checks.WithLabelValues("unavailable"),
	}
}
