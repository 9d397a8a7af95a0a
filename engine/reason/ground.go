package reason

import "github.com/mxauth/mxauth/rfc6125"

// A Ground says why nothing, or less than its policies say, is demanded of a host. The
// zero Ground is GroundNone: what the policies say is demanded.
type Ground uint8

// Grounds.
const (
	GroundNone      Ground = iota
	GroundNoPolicy         // no policy is in force for it
	GroundLiteral          // the next hop is an address
	GroundLevel            // the level opportunistic
	GroundMessage          // the message is to be delivered whatever policies say (section 9)
	GroundAudit            // audit mode lets a host be used that a policy refuses
	GroundException        // an exception lets a host be used that a policy refuses
)

// NoDANE says why DANE asks nothing, or not enough, of a host. The zero NoDANE is
// NoDANEOther.
type NoDANE uint8

// Values of NoDANE.
const (
	NoDANEOther           NoDANE = iota
	NoDANELiteral                // DANE does not apply to an address
	NoDANELevel                  // the level does not look at it
	NoDANEMXSkipped              // the MX is insecure, and insecure-mx = may
	NoDANEMXInsecure             // there are TLSA records, and the MX that leads to them is insecure
	NoDANEUnusable               // no TLSA record can be used
	NoDANENotAsked               // TLSA records were not looked up
	NoDANEAddressInsecure        // the addresses are insecure (RFC 7672 section 2.2.2)
	NoDANENoRecords              // there are no TLSA records
)

// NoSTS says why MTA-STS asks nothing of a host. The zero NoSTS is NoSTSNotAsked.
type NoSTS uint8

// Values of NoSTS.
const (
	NoSTSNotAsked NoSTS = iota
	NoSTSTesting        // mode testing
	NoSTSPending        // not known yet
	NoSTSStore          // the store cannot say whether a policy is cached
	NoSTSUnknown        // the record lookup failed and nothing is cached
	NoSTSModeNone       // mode none
	NoSTSFetch          // a policy is announced and could not be fetched
	NoSTSNone           // no policy is published
)

// An UnusedMX is an MX record that is not used, or several that are not.
type UnusedMX struct {
	Why        MXFault
	Row        string
	Name       rfc6125.Name // of MXNotHost
	Self       rfc6125.Host // of MXSelf
	Preference uint16       // of MXNotHost; of MXSelf, from which on hosts are dropped
	// Late says that the addresses showed it.
	Late bool
}

// MXFault is why an MX record is not used. The zero MXFault is MXMalformed.
type MXFault uint8

// Values of MXFault.
const (
	MXMalformed MXFault = iota
	MXNotHost           // the target is no host name (M8)
	MXRoot              // the root among other hosts (M7)
	MXTooMany           // hosts beyond engine.MaxHosts
	MXSelf              // this server, and what is no better (M10)
)

// STSAsked says whether MTA-STS was asked. The zero STSAsked is STSNotAsked.
type STSAsked uint8

// Values of STSAsked.
const (
	STSNotAsked STSAsked = iota // the level, or the next hop, has no use for it
	STSNoClient                 // Config.STS of package engine is nil
	STSWasAsked                 // Plan.STS is the answer
	STSLeft                     // DANE alone decides: the answer was not waited for
)
