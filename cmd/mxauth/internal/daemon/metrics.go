package daemon

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/answers"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine/mtapolicy"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// Metrics are the counters of a daemon; docs/metrics.md lists them. Labels come from fixed
// sets, never from a domain: the senders of mail choose the domains that are asked about.
type Metrics struct {
	registry   *prometheus.Registry
	answers    *prometheus.CounterVec
	warm       [answerDoors][3]prometheus.Counter // by door and kind, resolved once: the hot path
	noName     [answerDoors]prometheus.Counter    // by door, resolved once
	seconds    prometheus.Histogram
	unfinished *prometheus.CounterVec
	deviations *prometheus.CounterVec

	fetches         *prometheus.CounterVec
	refreshFailures prometheus.Counter
	storeFailures   prometheus.Counter

	lookups       *prometheus.CounterVec
	lookupSeconds prometheus.Histogram
	cacheHits     prometheus.Counter
	budgets       prometheus.Counter

	reloads *prometheus.CounterVec
	http    *prometheus.CounterVec
}

// Doors of the label "door", by form.
const answerDoors = 4

var doorNames = [answerDoors]string{"postfix", "postfix-extended", "sendmail", "exim"}

// NewMetrics makes the metrics of one daemon.
func NewMetrics() *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help,
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15, 30}})
	}
	m := &Metrics{
		registry:   prometheus.NewRegistry(),
		answers:    vec("mxauth_answers_total", "Answers given to mail servers, by door, kind of answer and row of the rule; row is kept for an answer that was found before.", "door", "kind", "row"),
		seconds:    histogram("mxauth_answer_seconds", "Time to find an answer that was not kept, in seconds."),
		unfinished: vec("mxauth_answers_unfinished_total", "Questions answered \"try later\" because the lookups took longer than the patience (late) or were too many (busy).", "why"),
		deviations: vec("mxauth_deviations_total", "Answers to a mail server that could not express the whole plan, by reason.", "reason"),

		fetches:         vec("mxauth_sts_fetches_total", "Fetches of MTA-STS policies, by row of the decision table and result.", "row", "result"),
		refreshFailures: counter("mxauth_sts_refresh_failures_total", "Kept MTA-STS policies that could not be fetched again when that was due."),
		storeFailures:   counter("mxauth_sts_store_failures_total", "Times that the store of MTA-STS policies could not be read or written."),

		lookups:       vec("mxauth_dns_lookups_total", "DNS lookups that were not answered from the cache, by result.", "result"),
		lookupSeconds: histogram("mxauth_dns_lookup_seconds", "Time of a DNS lookup that was not answered from the cache, in seconds."),
		cacheHits:     counter("mxauth_dns_cache_hits_total", "DNS lookups that were answered from the cache."),
		budgets:       counter("mxauth_dns_budgets_exceeded_total", "DNS lookups stopped because they cost more than any legitimate zone needs."),

		http: vec("mxauth_http_requests_total", "Requests at the listeners for HTTP, by path and status; path is other for one that does not exist.", "path", "status"),

		reloads: vec("mxauth_reloads_total", "Readings of the configuration on SIGHUP, by result.", "result"),
	}
	m.registry.MustRegister(m.answers, m.seconds, m.unfinished, m.deviations, m.fetches, m.refreshFailures, m.storeFailures,
		m.lookups, m.lookupSeconds, m.cacheHits, m.budgets, m.reloads, m.http,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for d := range m.warm {
		m.noName[d] = m.answers.WithLabelValues(doorNames[d], mtapolicy.NotFound.String(), string(mtapolicy.P1))
		for k := range m.warm[d] {
			m.warm[d][k] = m.answers.WithLabelValues(doorNames[d], mtapolicy.Kind(k).String(), "kept")
		}
	}
	for _, l := range []struct {
		vec    *prometheus.CounterVec
		values []string
	}{
		{m.unfinished, []string{"late", "busy"}}, {m.reloads, []string{"ok", "failed"}},
		{m.lookups, []string{"ok", "timeout", "unreachable", "servfail", "refused", "bogus", "indeterminate", "malformed", "budget", "failed"}},
	} {
		for _, v := range l.values {
			l.vec.WithLabelValues(v) // so that an alert finds the zero
		}
	}
	m.http.WithLabelValues("/v1/plan", "200")
	return m
}

// Gauge adds a number that is asked for when the metrics are read.
func (m *Metrics) Gauge(name, help string, f func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
}

// Counter is [Metrics.Gauge] for a number that only grows.
func (m *Metrics) Counter(name, help string, f func() float64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, f))
}

// Info adds a gauge of 1 with a constant label.
func (m *Metrics) Info(name, help, label, value string) {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: prometheus.Labels{label: value}})
	g.Set(1)
	m.registry.MustRegister(g)
}

// Warm counts an answer that was kept.
func (m *Metrics) Warm(f mtapolicy.Form, k mtapolicy.Kind) { m.warm[doorOf(f)][min(int(k), 2)].Inc() }

// NoName counts an answer to a key that is no next hop.
func (m *Metrics) NoName(f mtapolicy.Form) { m.noName[doorOf(f)].Inc() }

func doorOf(f mtapolicy.Form) int { return min(int(f), answerDoors-1) }

// Observe counts an answer that was looked up.
func (m *Metrics) Observe(e answers.Event) {
	m.answers.WithLabelValues(doorNames[doorOf(e.Form)], e.Reply.Kind.String(), string(e.Reply.Row)).Inc()
	m.seconds.Observe(e.Took.Seconds())
	switch {
	case e.Late:
		m.unfinished.WithLabelValues("late").Inc()
	case e.Busy:
		m.unfinished.WithLabelValues("busy").Inc()
	}
	for i := range e.Reply.Deviations {
		m.deviations.WithLabelValues(string(e.Reply.Deviations[i].ID)).Inc()
	}
}

// Fetched counts the fetch of a policy.
func (m *Metrics) Fetched(_ rfc6125.Host, row sts.Row, _ time.Duration, err error) {
	result := "ok"
	if err != nil {
		if result = sts.FetchWord(err); result == "" {
			result = "failed"
		}
	}
	m.fetches.WithLabelValues(row.String(), result).Inc()
	if row == sts.S11 {
		m.refreshFailures.Inc()
	}
}

// StoreFailed counts a failure of the store.
func (m *Metrics) StoreFailed() { m.storeFailures.Inc() }

// Reloaded counts a reading of the configuration.
func (m *Metrics) Reloaded(err error) {
	if err != nil {
		m.reloads.WithLabelValues("failed").Inc()
		return
	}
	m.reloads.WithLabelValues("ok").Inc()
}

// HTTP counts a request over HTTP. path comes from the fixed set of paths.
func (m *Metrics) HTTP(path string, status int) {
	m.http.WithLabelValues(path, strconv.Itoa(status)).Inc()
}

// DNS counts lookups.
func (m *Metrics) DNS() dnssec.CacheTrace {
	return dnssec.CacheTrace{
		Hit: func(dnssec.Question, time.Duration, bool) { m.cacheHits.Inc() },
		Asked: func(_ dnssec.Question, took time.Duration, err error) {
			m.lookupSeconds.Observe(took.Seconds())
			word := lookupWord(err)
			m.lookups.WithLabelValues(word).Inc()
			if word == "budget" {
				m.budgets.Inc()
			}
		},
	}
}

// lookupWord is the label of what a lookup came to.
func lookupWord(err error) string {
	var le *dnssec.LookupError
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &le) && le.Reason.Code == dnssec.ReasonBudget:
		return "budget"
	}
	for _, k := range []struct {
		kind error
		word string
	}{
		{dnssec.ErrTimeout, "timeout"}, {dnssec.ErrUnreachable, "unreachable"}, {dnssec.ErrServFail, "servfail"}, {dnssec.ErrRefused, "refused"},
		{dnssec.ErrBogus, "bogus"}, {dnssec.ErrIndeterminate, "indeterminate"}, {dnssec.ErrMalformed, "malformed"},
	} {
		if errors.Is(err, k.kind) {
			return k.word
		}
	}
	return "failed"
}

// doorCollector reports the connections of the listeners.
type doorCollector struct {
	doors                   func() []door
	conns, evicted, refused *prometheus.Desc
}

// stated is a server that counts its connections.
type stated interface {
	Counts() (conns int, evicted, refused uint64)
}

func newDoorCollector(doors func() []door) *doorCollector {
	labels := []string{"door", "listener"}
	return &doorCollector{doors: doors,
		conns:   prometheus.NewDesc("mxauth_connections", "Connections of mail servers now.", labels, nil),
		evicted: prometheus.NewDesc("mxauth_connections_evicted_total", "Idle connections closed to make room for a new one.", labels, nil),
		refused: prometheus.NewDesc("mxauth_connections_refused_total", "New connections closed at once, since all others were busy.", labels, nil)}
}

func (c *doorCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.conns
	ch <- c.evicted
	ch <- c.refused
}

func (c *doorCollector) Collect(ch chan<- prometheus.Metric) {
	for i, d := range c.doors() {
		s, ok := d.server.(stated)
		if !ok {
			continue
		}
		n, evicted, refused := s.Counts()
		listener := strconv.Itoa(i)
		ch <- prometheus.MustNewConstMetric(c.conns, prometheus.GaugeValue, float64(n), d.name, listener)
		ch <- prometheus.MustNewConstMetric(c.evicted, prometheus.CounterValue, float64(evicted), d.name, listener)
		ch <- prometheus.MustNewConstMetric(c.refused, prometheus.CounterValue, float64(refused), d.name, listener)
	}
}

// Handler serves the metrics in the text format of Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
