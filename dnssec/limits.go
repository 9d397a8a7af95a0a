package dnssec

import (
	"time"
)

// Limits and defaults of a [Validator], a [Stub] and a [Cached].
const (
	// DefaultPlanTime is longer than any resolver takes for a name, three times over: MX,
	// addresses and TLSA follow each other.
	DefaultPlanTime = 30 * time.Second
	// MaxAliases bounds the steps of an alias chain (Unbound stops at 12, BIND at 16).
	MaxAliases = 16
	// DefaultZoneBytes bounds the memory of the zones that a validator remembers. A zone with
	// three RSA keys takes some three kilobytes.
	DefaultZoneBytes = 32 << 20
	// DefaultCacheEntries is enough for the mail of a large sender: some ten names a
	// domain, of which most are shared.
	DefaultCacheEntries = 100_000
	// DefaultCacheBytes bounds what the answers may take, whatever their number.
	DefaultCacheBytes = 90 << 20
	// DefaultFailureTTL is how long a failure is kept at first (RFC 9520 section 3.2: at
	// least 1 s); each further failure of the same question doubles it up to
	// MaxFailureTTL (there: at most 5 minutes). Mail waits longer than that before it
	// is tried again, so only those who ask at the same time see it.
	DefaultFailureTTL = 5 * time.Second
	MaxFailureTTL     = 60 * time.Second
	// DefaultLookupTimeout bounds the work for one question: alias steps, a chain of
	// trust, and dead servers on the way.
	DefaultLookupTimeout = 30 * time.Second
	// DefaultMaxNSEC3Iterations is the most that is computed for one NSEC3 hash. RFC
	// 9276 section 3.2 lets a validator stop anywhere above 0; zones of today have 0
	// to 20, and Unbound's limit is 150. Above it a denial is insecure, with
	// [ReasonNSEC3Iterations]; there is no second limit (section 4).
	DefaultMaxNSEC3Iterations = 150
	// DefaultZones is how many zones are remembered: the zones of the hosts that a
	// large sender talks to in a day.
	DefaultZones = 10_000
	// DefaultMaxQueries bounds the questions sent for one question. The longest honest
	// work is an alias chain of 16 steps, each in a zone of its own (3 questions a
	// step), or an unsigned name some tens of labels below a signed zone.
	DefaultMaxQueries = 64
	// DefaultMaxBytes bounds the bytes of the replies to one question, as they are held in
	// memory: as many full messages as an answer with all its keys has ever needed, several
	// times.
	DefaultMaxBytes = 1 << 20
	// DefaultExchangeTimeout bounds one exchange with the upstream, which has
	// timeouts of its own; this is for one that does not keep to them.
	DefaultExchangeTimeout = 20 * time.Second
	// maxSigners bounds the zones that are tried for one RRset: honest ones are
	// signed by one.
	maxSigners = 4
	// maxZoneTTL bounds how long a zone's keys are kept, whatever their TTL says.
	maxZoneTTL = 24 * time.Hour
	// MaxTTL bounds how long any answer is kept, whatever its TTL says: a day, as
	// RFC 8767 section 4 and most resolvers have it.
	MaxTTL = 24 * time.Hour
	// MaxNegativeTTL bounds how long the absence of something is kept (RFC 2308
	// section 5 suggests one to three hours; RFC 8198 section 5.4).
	MaxNegativeTTL = 3 * time.Hour
	// DefaultUnderWay bounds the questions that are under way at the same time. Each has a
	// socket, and a process may often open no more than 1024 files.
	DefaultUnderWay = 512
	// minUnderWay is how many of them a plan may have however many other plans there are:
	// the two families of an address.
	minUnderWay = 2
	// maxSpare bounds the sockets for sending again, all plans together.
	maxSpare = 256
	// maxHeld bounds the bytes of replies that all plans hold at the same time; a plan
	// that holds less than heldFloor may go on beyond it. An honest plan holds some tens of
	// kilobytes.
	maxHeld   = 64 << 20
	heldFloor = 1 << 20
)
