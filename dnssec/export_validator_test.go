package dnssec

// Waiting counts the callers that wait for exchanges.
func (v *Validator) Waiting() int {
	v.flights.mu.Lock()
	defer v.flights.mu.Unlock()
	n := 0
	for _, f := range v.flights.m {
		n += f.refs
	}
	return n
}
