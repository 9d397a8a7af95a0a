package lab

import (
	"net/netip"

	"github.com/mxauth/mxauth/engine"
)

// A World is one domain of the lab, with what `mxauth check` must say of it. What is
// not said takes the usual value: a world without Zones has one signed zone, named as
// Domain; a host without a Chain has a good WebPKI certificate of its own name; and a
// host without SMTP is a good server.
type World struct {
	Name   string   `json:"world,omitempty"`  // stable id: "dane-ee"
	Domain string   `json:"domain,omitempty"` // what to check: "dane-ee.test"; may hold U-labels
	About  string   `json:"about,omitempty"`  // one line for people
	Rows   []string `json:"rows,omitempty"`
	// Zones of the world. The zone of a record is the deepest that holds its owner.
	Zones []Zone `json:"zones,omitempty"`
	// Hosts are the mail servers. Two entries of one name are two addresses of it.
	Hosts []Host `json:"hosts,omitempty"`
	// NoMX publishes no MX records for Hosts (for an implicit MX, or where Records
	// bring their own).
	NoMX bool `json:"no_mx,omitempty"`
	// STS is what the domain says of MTA-STS; nil: nothing.
	STS *STS `json:"sts,omitempty"`
	// TLSRPT is the TXT record at _smtp._tls of the domain (RFC 8460); "" is none.
	TLSRPT string `json:"tlsrpt,omitempty"`
	// Records are further records, a line of a zone file each, with full names. What
	// is in braces is filled in: {A host} is the first address of a host, {3 1 1
	// leaf host} the data of a TLSA record made from its chain.
	Records []string `json:"records,omitempty"`
	// Faults are lookups that every resolver of the lab fails.
	Faults []Fault `json:"faults,omitempty"`
	// Published is what DNS and the policy host say of the world. [Describe] and
	// [Lab.Worlds] fill it in, and put addresses into the hosts; Start does not read it.
	Published *Published `json:"published,omitempty"`
	// Request is how the check is made; the zero Request is a plain check of Domain.
	Request Request `json:"request,omitzero"`
	// Was is the world before [Lab.Forge]: its Zones, Hosts, STS, Records and Faults
	// count until then, the rest is ignored. Who checks such a world first lets an
	// MTA-STS client look at the domain once (a whole check will do, and has to where
	// the Request has a Memory), which leaves what it learns in its store; then calls Forge;
	// then checks with the same store. All
	// that DNS says of a world with Was has a TTL of 0, so that no cache hides the
	// change. Age is how long before the check that first look is to have happened.
	Was *World  `json:"was,omitempty"`
	Age Seconds `json:"age_seconds,omitempty"`
	// Asks are DNS questions with the status that a validator must give them.
	Asks []Ask `json:"asks,omitempty"`
	// Lint are the ids of findings that `mxauth lint` must make of the domain, among
	// others; Clean says that it must make none.
	Lint  []string `json:"lint,omitempty"`
	Clean bool     `json:"lint_clean,omitempty"`
	Want  Want     `json:"want,omitzero"`
	// Once is what a program comes to that makes one connection to each address, where that
	// is not Want: it sees one of two certificates. Nil: it is Want.
	Once *Want `json:"want_once,omitempty"`
}

// Want is the expected answer, in the words of `mxauth check --json`.
type Want struct {
	Outcome   string     `json:"outcome"`
	Method    string     `json:"method"`
	Deliver   bool       `json:"deliver"`
	EveryHost bool       `json:"every_host"`
	Reason    string     `json:"reason_id,omitempty"` // the stable reason id of the domain's verdict; "" if not checked
	Hosts     []WantHost `json:"hosts,omitempty"`
}

// WantHost is the expected row of one MX host. Empty fields are not checked, except
// that an outcome which is checked brings its method with it.
type WantHost struct {
	Host        string `json:"host"`
	Outcome     string `json:"outcome,omitempty"`
	Method      string `json:"method,omitempty"`
	Requirement string `json:"requirement,omitempty"`
	SNI         string `json:"sni,omitempty"`
	Reason      string `json:"reason_id,omitempty"`
}

// A Request says how a world is to be checked: NextHop, if it is not empty, is given in
// place of Domain ("[relay.example]:587", "[{A host}]").
type Request struct {
	engine.Request
	Memory   string   `json:"memory,omitempty"`    // "", "alert", "defer": what the loss of a protection does that Was shows
	OwnHosts []string `json:"own_hosts,omitempty"` // this MTA's names and addresses
}

// An Ask is a DNS question with its expected status: "secure", "insecure", "bogus" or
// "indeterminate", and the stable word of the validator's reason ("" if not checked).
// Kind is "data", "nodata" or "nxdomain"; "" if not checked.
type Ask struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Status string `json:"status"`
	Kind   string `json:"kind,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// A Fault makes the resolvers fail a lookup.
type Fault struct {
	Name string    `json:"name"`           // owner asked for; "*.name" for it and everything below
	Type string    `json:"type,omitempty"` // "" for all types
	What FaultWord `json:"what"`
}

// A FaultWord says how a lookup fails.
type FaultWord string

// What a resolver can do wrong.
const (
	ServFail  FaultWord = "servfail"
	Timeout   FaultWord = "time-out"
	RefusedQ  FaultWord = "refused"
	Malformed FaultWord = "malformed" // a message that does not parse
	LostOnUDP FaultWord = "tcp-only"  // truncated over UDP, answered over TCP
)

// A Zone is one DNS zone.
type Zone struct {
	Apex string  `json:"apex"`
	Sign Signing `json:"signing"`
	// Algorithm of its keys; 0: 13 (ECDSA P-256). 8, 10, 13, 14 and 15 are really
	// signed; any other number is one that no validator implements.
	Algorithm uint8  `json:"algorithm,omitempty"`
	Split     bool   `json:"split_keys,omitempty"` // a KSK and a ZSK in place of one key
	DS        DSWord `json:"ds,omitempty"`         // what the parent publishes
	// Iterations and Salt of NSEC3 (RFC 5155).
	Iterations uint16 `json:"nsec3_iterations,omitempty"`
	Salt       string `json:"nsec3_salt,omitempty"`
	// Colliding adds that many keys with the key tag of the zone's own, and as many
	// worthless signatures to each RRset, before the good one.
	Colliding int `json:"colliding_keys,omitempty"`
	// Lasts is how long signatures are valid from now; 0: ten days.
	Lasts Seconds `json:"lasts_seconds,omitempty"`
	Break []Break `json:"breaks,omitempty"`
}

// A Signing says how a zone denies, and whether it is signed at all.
type Signing string

// Ways of signing.
const (
	NSEC     Signing = "" // signed, NSEC
	NSEC3    Signing = "nsec3"
	OptOut   Signing = "opt-out" // NSEC3 with opt-out
	Unsigned Signing = "unsigned"
)

// A DSWord says what DS record the parent has for a zone.
type DSWord string

// DS records.
const (
	DSGood DSWord = "" // of the zone's key; none if the zone is unsigned
	// DSMissing: none, though the zone is signed: an island.
	DSMissing DSWord = "missing"
	// DSWrong: the digest is of another key.
	DSWrong DSWord = "wrong"
	// DSOtherAlgorithm: of an algorithm that is supported, and that no key has.
	DSOtherAlgorithm DSWord = "other-algorithm"
	// DSUnsupported: of an algorithm that no validator implements.
	DSUnsupported DSWord = "unsupported"
	// DSUnknownDigest: of a digest type that no validator implements.
	DSUnknownDigest DSWord = "unknown-digest"
	// DSOfNothing: a DS though the zone is not signed (signatures were lost).
	DSOfNothing DSWord = "of-nothing"
)

// A Break is one way of being broken, of a whole zone or of one RRset.
type Break struct {
	What BreakWord `json:"what"`
	Name string    `json:"name,omitempty"` // owner; "" for the whole zone
	Type string    `json:"type,omitempty"` // "" for all types of the owner
}

// A BreakWord names a way of being broken.
type BreakWord string

// Ways of being broken.
const (
	Expired      BreakWord = "expired"       // signatures ended a day ago
	NotYetValid  BreakWord = "not-yet-valid" // signatures begin in a day
	WrongKey     BreakWord = "wrong-key"     // signed by a key that the zone does not have
	BadSignature BreakWord = "bad-signature" // a bit is turned
	Stripped     BreakWord = "stripped"      // no signatures
	Forged       BreakWord = "forged"        // the data is changed after signing
	NoDenial     BreakWord = "no-denial"     // negative answers without proof
	ForgedDenial BreakWord = "forged-denial" // what exists is denied with another name's proof
	WrongSigner  BreakWord = "wrong-signer"  // signed by the parent's name
)

// A Host is one address of a mail server.
type Host struct {
	Name string `json:"name"` // host name; U-labels are not taken
	Pref uint16 `json:"preference"`
	Port uint16 `json:"port,omitempty"` // 0: 25
	// NotMX: no MX record points here (though it is served).
	NotMX bool `json:"not_mx,omitempty"`
	// Alias is the name that has the addresses; Name is then a CNAME to it. A name with
	// two aliases has two faces: it shows the second to those who ask for AAAA.
	Alias string `json:"alias,omitempty"`
	// NoAddress: no address records.
	NoAddress bool  `json:"no_address,omitempty"`
	V6        bool  `json:"ipv6,omitempty"`    // has an IPv6 address as well, served alike
	NoV4      bool  `json:"no_ipv4,omitempty"` // has no IPv4 address
	Chain     Chain `json:"chain"`
	// Second is the chain, with an RSA key, that is shown to clients that take no ECDSA key;
	// nil: they get none.
	Second *Chain `json:"second_chain,omitempty"`
	// BySNI are other chains, for those who ask for that name.
	BySNI map[string]Chain `json:"chain_by_sni,omitempty"`
	// TLSA are records at _<port>._tcp.<Name>: "3 1 1 leaf", "2 0 1 ca", "2 1 1 root",
	// "3 1 1 other" (of a key that is never shown), "3 1 1 short" (a digest cut),
	// "3 1 1 second" (the leaf of Second).
	// A name and "@" before it puts it at _<port>._tcp of that name.
	TLSA []string `json:"tlsa,omitempty"`
	// TLSATTL is the TTL of those records in seconds; 0: that of all others.
	TLSATTL uint32 `json:"tlsa_ttl,omitempty"`
	SMTP    SMTP   `json:"smtp"`
	// Addresses are filled in as Published of a World is.
	Addresses []netip.Addr `json:"addresses,omitempty"`
}

// An Issuer says who signed a leaf.
type Issuer string

// Issuers.
const (
	WebPKI     Issuer = ""        // the lab's public CA, by its intermediate
	PrivateCA  Issuer = "private" // a CA that no client trusts, root and intermediate
	SelfSigned Issuer = "self"
)

// A Chain says what a server presents.
type Chain struct {
	By    Issuer   `json:"issuer"`
	Key   KeyWord  `json:"key,omitempty"`
	Names []string `json:"names,omitempty"`  // DNS-IDs of the leaf; nil: the host's name
	NoSAN bool     `json:"no_san,omitempty"` // no subjectAltName at all
	CN    string   `json:"cn,omitempty"`     // Common Name; "" none
	// Starts and Ends are relative to now; 0: 30 days ago, in 60 days.
	Starts Seconds    `json:"starts_seconds,omitempty"`
	Ends   Seconds    `json:"ends_seconds,omitempty"`
	Send   Sending    `json:"send"`
	Fault  ChainFault `json:"fault,omitempty"`
	// Odd is a kind of package certtest: a certificate that no library would write, of a CA
	// that no client trusts. Its server speaks TLS 1.2 and goes no further than its first
	// flight. By, Names, CN, Starts, Ends, Send and Fault are not looked at.
	Odd string `json:"odd,omitempty"`
}

// A KeyWord is the kind of key of a leaf.
type KeyWord string

// Kinds of keys.
const (
	KeyECDSA KeyWord = ""    // P-256
	KeyRSA   KeyWord = "rsa" // 2,048 bits
)

// A Sending says which certificates are sent.
type Sending string

// What is sent.
const (
	SendChain Sending = ""     // leaf and intermediate
	SendLeaf  Sending = "leaf" // the leaf alone
	SendRoot  Sending = "root" // leaf, intermediate and root
)

// A ChainFault is what is wrong with a chain.
type ChainFault string

// What may be wrong with a chain beyond names and dates of the leaf.
const (
	ChainGood       ChainFault = ""
	IssuerExpired   ChainFault = "issuer-expired"   // the intermediate has ended
	IssuerNoCA      ChainFault = "issuer-no-ca"     // the intermediate is not marked as a CA
	IssuerExcludes  ChainFault = "issuer-excludes"  // name constraints exclude the leaf's names
	ClientOnly      ChainFault = "client-only"      // the leaf is for clients
	LeafBadSig      ChainFault = "bad-signature"    // the issuer did not sign this leaf
	CriticalUnknown ChainFault = "critical-unknown" // the leaf has an unknown critical extension
)

// An SMTP says how a mail server behaves. The zero SMTP is a good server: greeting,
// EHLO with STARTTLS, a handshake of TLS 1.2 or 1.3, EHLO, and mail is taken.
type SMTP struct {
	State      SMTPState `json:"state"`
	RequireTLS bool      `json:"requiretls,omitempty"` // offers REQUIRETLS inside TLS
	// NeedsTLS answers MAIL FROM with 530 outside TLS.
	NeedsTLS bool `json:"needs_tls,omitempty"`
}

// An SMTPState is a state worth testing.
type SMTPState string

// States of a mail server.
const (
	Good              SMTPState = ""
	NoSTARTTLS        SMTPState = "no-starttls"
	STARTTLS454       SMTPState = "starttls-454"
	STARTTLS501       SMTPState = "starttls-501"
	JunkAfterSTARTTLS SMTPState = "starttls-junk"     // no SMTP reply to STARTTLS
	Injected          SMTPState = "injected"          // plaintext in the packet of the 220
	JunkHandshake     SMTPState = "junk-handshake"    // no TLS after the 220
	Alert             SMTPState = "alert"             // handshake_failure
	UnknownName       SMTPState = "unrecognized-name" // the alert for an SNI
	TLS10Only         SMTPState = "tls-1.0"
	TLS11Only         SMTPState = "tls-1.1"
	TLS12Only         SMTPState = "tls-1.2"
	TLS13Only         SMTPState = "tls-1.3"
	CloseInHandshake  SMTPState = "close-in-handshake"
	CloseAtGreeting   SMTPState = "close-at-greeting"
	CloseAfterEHLO    SMTPState = "close-after-ehlo"
	Greeting421       SMTPState = "greeting-421"
	Greeting554       SMTPState = "greeting-554"
	JunkGreeting      SMTPState = "greeting-junk"
	EHLO550           SMTPState = "ehlo-550"
	HELOOnly          SMTPState = "helo-only" // EHLO is not known, HELO is
	HangAtGreeting    SMTPState = "hang-at-greeting"
	HangAfterEHLO     SMTPState = "hang-after-ehlo"
	HangSTARTTLS      SMTPState = "hang-starttls"
	HangInHandshake   SMTPState = "hang-in-handshake"
	DHEOnly           SMTPState = "dhe-only"              // no ECDHE, TLS 1.2; first flight only
	CBC384Only        SMTPState = "cbc-sha384-only"       // ECDHE with CBC and SHA-384; first flight only
	CamelliaOnly      SMTPState = "camellia-only"         // ECDHE with Camellia; first flight only
	X448Only          SMTPState = "x448-only"             // ECDHE with X448; first flight only
	RSAExchangeOnly   SMTPState = "rsa-key-exchange-only" // no ECDHE, no DHE
	ShortHello        SMTPState = "short-client-hello"    // a ClientHello of at most 1,400 bytes
	ConnRefused       SMTPState = "connection-refused"
	ConnTimeout       SMTPState = "connection-time-out"
)

// An STS is what a domain says of MTA-STS (RFC 8461).
type STS struct {
	ID   string   `json:"id,omitempty"`   // of the TXT record; "": "1"
	TXT  []string `json:"txt,omitzero"`   // whole TXT records in place of the usual one; empty and not nil: none
	Mode string   `json:"mode,omitempty"` // "enforce", "testing", "none"
	MX   []string `json:"mx,omitempty"`   // patterns; nil: the names of the world's MX hosts
	// MaxAge in seconds; 0: 604800.
	MaxAge int    `json:"max_age,omitempty"`
	Body   Body   `json:"body,omitempty"` // the whole policy in place of Mode, MX and MaxAge
	At     string `json:"at,omitempty"`   // policy domain; "": that of the world
	// NoHost: mta-sts.<domain> does not exist.
	NoHost bool  `json:"no_host,omitempty"`
	Chain  Chain `json:"chain"` // of the policy host; nil names: mta-sts.<domain>
	HTTP   HTTP  `json:"http"`
}

// An HTTP says how a policy host answers.
type HTTP string

// Answers of a policy host.
const (
	HTTP200         HTTP = ""
	HTTP404         HTTP = "404"
	HTTP500         HTTP = "500"
	HTTPRedirect    HTTP = "redirect" // 301 to a good policy on the same host
	HTTPHTML        HTTP = "html"     // 200, media type text/html
	HTTPHuge        HTTP = "huge"     // a body of a megabyte
	HTTPHang        HTTP = "hang"     // no answer
	HTTPHangInBody  HTTP = "hang-in-body"
	HTTPClose       HTTP = "close"   // the connection ends
	HTTPRefused     HTTP = "refused" // nothing listens
	HTTPTLS10       HTTP = "tls-1.0"
	HTTPHangInHello HTTP = "hang-in-handshake"
	HTTP304         HTTP = "304"        // not modified, though not asked for
	HTTPGzip        HTTP = "gzip"       // compressed, though not asked for
	HTTPBigHeader   HTTP = "big-header" // a header of a hundred kilobytes
	HTTPAlert       HTTP = "alert"      // no certificate for that name
)
