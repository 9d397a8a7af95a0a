package lab

// memoryWorlds have lost a protection that they once proved. Who has a memory (it is an
// option, no standard asks for it) notices.
func memoryWorlds() []World {
	remembers := func(action string) func(*World) { return option(func(r *Request) { r.Memory = action }) }
	before := func(b World) func(*World) {
		return func(w *World) {
			w.Age = Hour
			if b.Zones == nil {
				b.Zones = w.Zones
			}
			w.Was = &b
		}
	}
	once := func(name string, edits ...func(*Host)) func(*World) {
		h := Host{Name: "mx." + name + ".test", Pref: 10, Chain: selfSigned}
		for _, e := range edits {
			e(&h)
		}
		return before(World{Hosts: []Host{h}})
	}
	tlsa := func(h *Host) { h.TLSA = []string{"3 1 1 leaf"} }
	return []World{
		dane("memory-dane-defer", "the TLSA records that were there an hour ago are missing, and the sender defers in that case", Zone{}, deferred, tlsaAre(),
			once("memory-dane-defer", tlsa), remembers("defer"), rows("C6/nothing")),
		dane("memory-dane-alert", "the TLSA records that were there an hour ago are missing, and the sender alerts in that case", Zone{}, encrypted, tlsaAre(),
			once("memory-dane-alert", tlsa), remembers("alert"), rows("C6/nothing")),
		dane("memory-tls-defer", "the host offered TLS an hour ago and does not offer it now, and the sender defers in that case", Zone{}, deferred, tlsaAre(),
			once("memory-tls-defer"), smtp(NoSTARTTLS), remembers("defer"), rows("7/may/E1")),
		sts("memory-sts-defer", "the policy was in mode enforce and is in mode testing now, and the sender defers in that case", STS{ID: "2", Mode: "testing"}, deferred, swap(selfSigned),
			before(World{Hosts: []Host{{Name: "mx.memory-sts-defer.test", Pref: 10}}, STS: &STS{Mode: "enforce"}}), remembers("defer"), rows("S6")),
		sts("memory-sts-alert", "the policy was in mode enforce and is in mode none now, and the sender alerts in that case", STS{ID: "2", Mode: "none"}, encrypted, swap(selfSigned),
			before(World{Hosts: []Host{{Name: "mx.memory-sts-alert.test", Pref: 10}}, STS: &STS{Mode: "enforce"}}), remembers("alert"), rows("S6")),
		dane("memory-unused", "the TLSA records are missing, and the policy still authenticates: the mail is delivered", Zone{}, bySTS, tlsaAre(), good, enforce,
			before(World{Hosts: []Host{{Name: "mx.memory-unused.test", Pref: 10, TLSA: []string{"3 1 1 leaf"}}}, STS: &STS{Mode: "enforce"}}), remembers("defer"), rows("C6/sts")),
	}
}
