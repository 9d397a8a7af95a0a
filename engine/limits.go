package engine

// Limits and defaults.
const (
	// DefaultPort is the port of mail between servers (RFC 5321 section 4.5.4.2).
	DefaultPort = 25
	// MaxHosts bounds the hosts of a plan. Real MX sets hold up to some twenty; a larger
	// one is cut after this many in the order of preference, so that a hostile zone cannot
	// make us ask thousands of questions.
	MaxHosts = 64
	// DefaultCachedPlans is how many plans an engine keeps by default: a busy server
	// talks to a few thousand domains at a time.
	DefaultCachedPlans = 4096
	// DefaultCachedPlanBytes bounds the memory of the kept plans: 16 KiB for each of
	// [DefaultCachedPlans], which is more than a plan of two hosts with DANE takes.
	DefaultCachedPlanBytes = 64 << 20
)
