package daemon

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/answers"
	"github.com/mxauth/mxauth/engine/mtapolicy"
)

// Metrics are the counters of a daemon. Labels come from fixed sets, never from a domain.
type Metrics struct {
	registry   *prometheus.Registry
	answers    *prometheus.CounterVec
	seconds    prometheus.Histogram
	deviations *prometheus.CounterVec
	warm       [answerDoors][3]prometheus.Counter // by door and kind, resolved once: the hot path
}

// Doors of the label "door", by form.
const answerDoors = 4

var doorNames = [answerDoors]string{"postfix", "postfix-extended", "sendmail", "exim"}

// NewMetrics makes the metrics of one daemon.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "mxauth_answers_total",
			Help: "Answers given to mail servers, by door, kind of answer and row of the rule."}, []string{"door", "kind", "row"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "mxauth_answer_seconds",
			Help:    "Time to find an answer that was not kept, in seconds.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15}}),
		deviations: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "mxauth_deviations_total",
			Help: "Answers that could not tell the mail server all that the plan says, by reason."}, []string{"reason"}),
	}
	m.registry.MustRegister(m.answers, m.seconds, m.deviations,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for d := range m.warm {
		for k := range m.warm[d] {
			m.warm[d][k] = m.answers.WithLabelValues(doorNames[d], mtapolicy.Kind(k).String(), "kept")
		}
	}
	return m
}

// Register adds a collector, such as one for the counters of a store.
func (m *Metrics) Register(c prometheus.Collector) error { return m.registry.Register(c) }

// Warm counts an answer that was kept.
func (m *Metrics) Warm(f mtapolicy.Form, k mtapolicy.Kind) { m.warm[doorOf(f)][min(int(k), 2)].Inc() }

func doorOf(f mtapolicy.Form) int { return min(int(f), answerDoors-1) }

// Observe counts an answer that was looked up.
func (m *Metrics) Observe(e answers.Event) {
	door := doorOf(e.Form)
	m.answers.WithLabelValues(doorNames[door], e.Reply.Kind.String(), string(e.Reply.Row)).Inc()
	m.seconds.Observe(e.Took.Seconds())
	for i := range e.Reply.Deviations {
		m.deviations.WithLabelValues(string(e.Reply.Deviations[i].ID)).Inc()
	}
}

// Handler serves the metrics in the text format of Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
