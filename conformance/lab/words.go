package lab

import (
	"encoding/json"
	"unicode/utf8"
)

// The zero value of each word below is the usual case, so that a world need not write it. Its
// JSON has a name all the same: a reader of a list sees "signing":"nsec", not an empty string.
const (
	wordNSEC   = "nsec"
	wordGood   = "good"
	wordWebPKI = "webpki"
	wordChain  = "chain"
	word200    = "200"
)

// named returns the word, or its name if it is the usual one.
func named[W ~string](w W, usual string) ([]byte, error) {
	if w == "" {
		return []byte(usual), nil
	}
	return []byte(w), nil
}

// unnamed is the reverse of named.
func unnamed[W ~string](w *W, b []byte, usual string) error {
	if *w = W(b); string(b) == usual {
		*w = ""
	}
	return nil
}

// MarshalText returns the word; "nsec" for the zero value.
func (s Signing) MarshalText() ([]byte, error) { return named(s, wordNSEC) }

// UnmarshalText reads what MarshalText returned.
func (s *Signing) UnmarshalText(b []byte) error { return unnamed(s, b, wordNSEC) }

// MarshalText returns the word; "webpki" for the zero value.
func (i Issuer) MarshalText() ([]byte, error) { return named(i, wordWebPKI) }

// UnmarshalText reads what MarshalText returned.
func (i *Issuer) UnmarshalText(b []byte) error { return unnamed(i, b, wordWebPKI) }

// MarshalText returns the word; "chain" for the zero value.
func (s Sending) MarshalText() ([]byte, error) { return named(s, wordChain) }

// UnmarshalText reads what MarshalText returned.
func (s *Sending) UnmarshalText(b []byte) error { return unnamed(s, b, wordChain) }

// MarshalText returns the word; "good" for the zero value.
func (s SMTPState) MarshalText() ([]byte, error) { return named(s, wordGood) }

// UnmarshalText reads what MarshalText returned.
func (s *SMTPState) UnmarshalText(b []byte) error { return unnamed(s, b, wordGood) }

// MarshalText returns the word; "200" for the zero value.
func (h HTTP) MarshalText() ([]byte, error) { return named(h, word200) }

// UnmarshalText reads what MarshalText returned.
func (h *HTTP) UnmarshalText(b []byte) error { return unnamed(h, b, word200) }

// Body is the text of a policy. Its JSON is a string; if the text is not UTF-8, an object
// {"base64":"..."}.
type Body string

// encoded is the JSON of a Body that is not UTF-8.
type encoded struct {
	Base64 []byte `json:"base64"`
}

// MarshalJSON returns the text, in base64 where JSON has no string for it.
func (b Body) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(b)) {
		return json.Marshal(string(b))
	}
	return json.Marshal(encoded{[]byte(b)})
}

// UnmarshalJSON reads what MarshalJSON returned.
func (b *Body) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '{' {
		var e encoded
		err := json.Unmarshal(raw, &e)
		*b = Body(e.Base64)
		return err
	}
	return json.Unmarshal(raw, (*string)(b))
}
