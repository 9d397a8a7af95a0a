package upstream

// Answers reports whether msg is taken for the response to the query asked under id, and
// hands out what the caller would get of it.
func Answers(asked, msg []byte, id uint16) ([]byte, bool) {
	q, err := parseQuery(asked)
	if err != nil || !q.answeredBy(msg, id) || walk(msg, nil) != nil {
		return nil, false
	}
	return q.finish(append([]byte(nil), msg...)), true
}

// Age takes age seconds from the TTLs of msg.
func Age(msg []byte, age uint32) { reduceTTLs(msg, age) }

// SaysBogus is what a SERVFAIL is looked through for.
func SaysBogus(msg []byte) bool { return saysBogus(msg) }
