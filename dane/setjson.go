package dane

import (
	"encoding/json"
	"fmt"
)

// A useText is a RecordUse as it is written to a file.
type useText struct {
	Record   Record       `json:"record"`
	Usable   bool         `json:"usable"`
	Fault    Fault        `json:"fault,omitempty"`
	Stronger MatchingType `json:"stronger,omitempty"`
	Octets   uint16       `json:"octets,omitempty"`
	Local    string       `json:"local,omitempty"`
}

// MarshalJSON writes every record with its verdict: `[{"record":"3 1 1 ab..","usable":true},
// {"record":"1 1 1 cd..","usable":false,"fault":"pkix-usage"}]`. So a set that was judged by
// some policy can be judged with again, elsewhere and later, without that policy.
func (s Set) MarshalJSON() ([]byte, error) {
	out := make([]useText, len(s.uses))
	for i, u := range s.uses {
		out[i] = useText(u)
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what [Set.MarshalJSON] writes. What no policy can make usable
// is an error if the text calls it so; errors wrap [ErrRecord] or are those of
// encoding/json.
func (s *Set) UnmarshalJSON(b []byte) error {
	var in []useText
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	t := Set{uses: make([]RecordUse, len(in))}
	for i, u := range in {
		if u.Usable != (u.Fault == NoFault) {
			return fmt.Errorf("%w: record %d is usable with a fault, or unusable without one", ErrRecord, i+1)
		}
		if u.Fault > FaultOutranked {
			return fmt.Errorf("%w: record %d has the fault %q, which depends on the peer", ErrRecord, i+1, u.Fault)
		}
		if u.Usable && i >= MaxRecords {
			return fmt.Errorf("%w: more than %d usable records", ErrRecord, MaxRecords)
		}
		if u.Usable {
			if f := unusable(u.Record, defaultStrength[:]); f != NoFault {
				return fmt.Errorf("%w: record %d is called usable: %s", ErrRecord, i+1, f)
			}
		}
		t.uses[i] = RecordUse(u)
	}
	t.prepare()
	*s = t
	return nil
}
