package authz

import "github.com/prometheus/client_golang/prometheus"

// issuerMetrics count where tokens come from and how Redis does.
type issuerMetrics struct {
	memory, redis, signed                   prometheus.Counter
	redisFailed, redisRefused, redisDropped prometheus.Counter
}

func newIssuerMetrics(r prometheus.Registerer) issuerMetrics {
	tokens := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "heddle_authz_tokens_total", Help: "Tokens given, by where they came from: memory, redis or signed."}, []string{"source"})
	trouble := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "heddle_authz_redis_trouble_total", Help: "What went wrong with Redis: failed (no answer, or an error), refused (a value that is not a token of ours), dropped (not written, too many waited)."}, []string{"what"})
	if r != nil {
		r.MustRegister(tokens, trouble)
	}
	return issuerMetrics{
		memory: tokens.WithLabelValues("memory"), redis: tokens.WithLabelValues("redis"), signed: tokens.WithLabelValues("signed"),
		redisFailed: trouble.WithLabelValues("failed"), redisRefused: trouble.WithLabelValues("refused"), redisDropped: trouble.WithLabelValues("dropped"),
	}
}

// serviceMetrics count the answers.
type serviceMetrics struct {
	allowed, denied, observed, warned, unavailable prometheus.Counter
}

func newServiceMetrics(r prometheus.Registerer) serviceMetrics {
	checks := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "heddle_authz_checks_total", Help: "Answers to sidecars: allowed, denied, observed or warned (refused in name only, the request passed), unavailable."}, []string{"answer"})
	if r != nil {
		r.MustRegister(checks)
	}
	return serviceMetrics{
		allowed: checks.WithLabelValues("allowed"), denied: checks.WithLabelValues("denied"), observed: checks.WithLabelValues("observed"),
		warned: checks.WithLabelValues("warned"), unavailable: checks.WithLabelValues("unavailable"),
	}
}
