package probe

// A Cure names what to change where something is not as it should be. The words, the files
// of each resolver and the flags are those of the program that shows a report.
type Cure string

// Cures.
const (
	NoCure           Cure = ""
	CureStart        Cure = "start"         // no resolver answers on this host
	CureReach        Cure = "reach"         // it does not listen there, or a firewall is between
	CureReachTLS     Cure = "reach-tls"     // the same, or it does not prove its name
	CureAccess       Cure = "access"        // it refuses to answer this host
	CureOther        Cure = "other"         // another resolver is needed
	CureRecursive    Cure = "recursive"     // it is a name server of zones
	CureEDNS         Cure = "edns"          // it does not know EDNS
	CureEDNSPath     Cure = "edns-path"     // something on the way removes EDNS
	CureTCP          Cure = "tcp"           // it does not answer over TCP
	CureServers      Cure = "servers"       // it does not reach the name servers of a zone
	CurePass         Cure = "pass"          // DNSSEC records do not come through
	CureValidate     Cure = "validate"      // it does not validate
	CureAnchor       Cure = "anchor"        // its trust anchor or its clock is wrong
	CureCD           Cure = "cd"            // it ignores the CD bit
	CureFalseAD      Cure = "false-ad"      // it sets AD on what is not signed
	CurePath         Cure = "path"          // its answers can be forged on the way
	CureNearer       Cure = "nearer"        // it is slow
	CureNameSigned   Cure = "name-signed"   // another signed zone is needed for the test
	CureNameUnsigned Cure = "name-unsigned" // another unsigned zone
	CureNameBroken   Cure = "name-broken"   // another zone with wrong signatures
	CureNameMissing  Cure = "name-missing"  // another name that does not exist in a signed zone
)
