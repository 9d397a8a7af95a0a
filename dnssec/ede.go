package dnssec

// Extended errors (RFC 8914 section 4) that mxauth looks at or gives as a reason.
const (
	EDEOther                 uint16 = 0
	EDEUnsupportedAlgorithm  uint16 = 1
	EDEUnsupportedDigest     uint16 = 2
	EDEIndeterminate         uint16 = 5
	EDEBogus                 uint16 = 6
	EDESignatureExpired      uint16 = 7
	EDESignatureNotYetValid  uint16 = 8
	EDEDNSKEYMissing         uint16 = 9
	EDERRSIGsMissing         uint16 = 10
	EDENoZoneKeyBit          uint16 = 11
	EDENSECMissing           uint16 = 12
	EDENoReachableAuthority  uint16 = 22
	EDENetworkError          uint16 = 23
	EDEUnsupportedIterations uint16 = 27
)

// SaysBogus reports whether e says that validation failed there.
func (e ExtendedError) SaysBogus() bool {
	return EDEBogus <= e.Code && e.Code <= EDENSECMissing
}
