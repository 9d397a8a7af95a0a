package exception_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/engine/exception"
	"github.com/mxauth/mxauth/internal/nametest"
	"github.com/mxauth/mxauth/tlsrpt"
)

var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// ticket is an exception for example.org and every method, for a day.
func ticket() exception.Exception {
	return exception.Exception{ID: "ticket-1", Domain: "example.org", Reason: "their key was changed without a record", Author: "postmaster", Ends: epoch.Add(24 * time.Hour)}
}

var host = nametest.Host

// TestFind: which names an exception covers, and until when.
func TestFind(t *testing.T) {
	for _, c := range []struct {
		domain, mx    string // of the exception
		asked, onHost string
		after         time.Duration
		want          bool
	}{
		{"example.org", "", "example.org", "mx.example.net", 0, true},
		{"example.org", "", "sub.example.org", "mx.example.net", 0, false},
		{"example.org", "", "xexample.org", "mx.example.net", 0, false},
		{"*.example.org", "", "example.org", "mx.example.net", 0, false},
		{"*.example.org", "", "a.b.example.org", "mx.example.net", 0, true},
		{"*", "", "example.com", "mx.example.net", 0, true},
		{"EXAMPLE.org", "", "example.org", "mx.example.net", 0, true},
		{"example.org", "mx.example.net", "example.org", "mx.example.net", 0, true},
		{"example.org", "mx.example.net", "example.org", "mx2.example.net", 0, false},
		{"example.org", "*.example.net", "example.org", "mx.example.net", 0, true},
		{"example.org", "*.example.net", "example.org", "example.net", 0, false},
		{"example.org", "*", "example.org", "mx.example.net", 0, true},
		{"example.org", "", "example.org", "mx.example.net", 24*time.Hour - 1, true},
		{"example.org", "", "example.org", "mx.example.net", 24 * time.Hour, false},
	} {
		x := ticket()
		x.Domain, x.MXHost = c.domain, c.mx
		set, err := exception.NewSet([]exception.Exception{x})
		if err != nil {
			t.Fatal(err)
		}
		if got := set.Find(host(t, c.asked), host(t, c.onHost), epoch.Add(c.after)); (got != nil) != c.want || got != nil && *got != x {
			t.Errorf("%s, %q for %s, %s after %s: %+v", c.domain, c.mx, c.asked, c.onHost, c.after, got)
		}
	}
	first, second := ticket(), ticket()
	second.ID, second.Domain = "ticket-2", "*"
	set, err := exception.NewSet([]exception.Exception{first, second})
	if err != nil {
		t.Fatal(err)
	}
	if x := set.Find(host(t, "example.org"), host(t, "mx.example.org"), epoch); x == nil || x.ID != "ticket-1" {
		t.Errorf("of two, %+v", x)
	}
	if x := set.Find(host(t, "example.com"), host(t, "mx.example.org"), epoch); x == nil || x.ID != "ticket-2" {
		t.Errorf("the second: %+v", x)
	}
	if x := (*exception.Set)(nil).Find(host(t, "example.org"), host(t, "mx.example.org"), epoch); x != nil {
		t.Errorf("no set: %+v", x)
	}
}

// TestCovers: an exception for one method lets no failure of another pass.
func TestCovers(t *testing.T) {
	policies := []tlsrpt.PolicyType{tlsrpt.PolicyTLSA, tlsrpt.PolicySTS, tlsrpt.PolicyNoFound, ""}
	for method, want := range map[string]string{"": "yyyy", "dane": "ynnn", "mta-sts": "nynn", "pkix": "nnyy"} {
		x, got := ticket(), ""
		x.Method = method
		for _, p := range policies {
			got += map[bool]string{true: "y", false: "n"}[x.Covers(p)]
		}
		if got != want {
			t.Errorf("method %q covers %s of %q, want %s", method, got, policies, want)
		}
	}
}

// TestEffectText: an effect in a file is a word.
func TestEffectText(t *testing.T) {
	for e, word := range map[exception.Effect]string{exception.EffectEncrypt: "encrypt", exception.EffectMay: "may"} {
		x := ticket()
		x.Effect = e
		b, err := json.Marshal(x)
		if err != nil || !strings.Contains(string(b), `"effect":"`+word+`"`) {
			t.Errorf("%s, %v", b, err)
		}
		var back exception.Exception
		if err := json.Unmarshal(b, &back); err != nil || back != x {
			t.Errorf("%s reads back as %+v, %v", b, back, err)
		}
	}
	var e exception.Effect
	if err := e.UnmarshalText([]byte("nothing")); err == nil || !strings.Contains(err.Error(), `"encrypt" "may"`) {
		t.Errorf("another word: %v", err)
	}
}

// TestErrorText: an error names the exception by its place and its id, and says what is wrong.
func TestErrorText(t *testing.T) {
	x := ticket()
	x.Author, x.Reason = "", ""
	_, err := exception.NewSet([]exception.Exception{ticket(), {ID: "b", Domain: "*", Reason: "r", Author: "a"}, x})
	if err == nil {
		t.Fatal("no error")
	}
	const want = `exception: bad exception: number 2 ("b"): it has no end
exception: bad exception: number 3 ("ticket-1"): its id is used twice
exception: bad exception: number 3 ("ticket-1"): it gives no reason
exception: bad exception: number 3 ("ticket-1"): it names no author`
	if err.Error() != want {
		t.Errorf("%v", err)
	}
}

func TestNewSet(t *testing.T) {
	many := make([]exception.Exception, exception.Max+1)
	for i := range many {
		many[i] = ticket()
		many[i].ID = fmt.Sprint("ticket-", i)
	}
	if _, err := exception.NewSet(many[:exception.Max]); err != nil {
		t.Error(err)
	}
	if _, err := exception.NewSet(many); !errors.Is(err, exception.ErrInvalid) {
		t.Errorf("one too many: %v", err)
	}
	for what, change := range map[string]func(*exception.Exception){
		"id":     func(x *exception.Exception) { x.ID = "" },
		"domain": func(x *exception.Exception) { x.Domain = "" },
		"mx":     func(x *exception.Exception) { x.MXHost = "a b" },
		"method": func(x *exception.Exception) { x.Method = "all" },
		"effect": func(x *exception.Exception) { x.Effect = exception.EffectMay + 1 },
		"reason": func(x *exception.Exception) { x.Reason = " " },
		"author": func(x *exception.Exception) { x.Author = "" },
		"end":    func(x *exception.Exception) { x.Ends = time.Time{} },
	} {
		x := ticket()
		x.ID = "another"
		change(&x)
		_, err := exception.NewSet([]exception.Exception{ticket(), x})
		var xe *exception.Error
		if !errors.Is(err, exception.ErrInvalid) || !errors.As(err, &xe) || xe.Index != 1 {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := exception.NewSet([]exception.Exception{ticket(), ticket()}); !errors.Is(err, exception.ErrInvalid) {
		t.Errorf("an id twice: %v", err)
	}
	if _, err := exception.NewSet(make([]exception.Exception, exception.Max+1)); !errors.Is(err, exception.ErrInvalid) {
		t.Errorf("too many: %v", err)
	}
}

func TestEnding(t *testing.T) {
	a, b := ticket(), ticket()
	b.ID, b.Ends = "ticket-2", epoch.Add(48*time.Hour)
	set, err := exception.NewSet([]exception.Exception{a, b})
	if err != nil {
		t.Fatal(err)
	}
	ids := func(now time.Time, d time.Duration) string {
		var out []string
		for _, x := range set.Ending(now, d) {
			out = append(out, x.ID)
		}
		return strings.Join(out, " ")
	}
	for _, c := range []struct {
		at, d time.Duration
		want  string
	}{{0, time.Hour, ""}, {0, 24 * time.Hour, "ticket-1"}, {0, 48 * time.Hour, "ticket-1 ticket-2"}, {24 * time.Hour, 24 * time.Hour, "ticket-2"}, {48 * time.Hour, time.Hour, ""}} {
		if got := ids(epoch.Add(c.at), c.d); got != c.want {
			t.Errorf("after %s, within %s: %q, want %q", c.at, c.d, got, c.want)
		}
	}
	if (*exception.Set)(nil).List() != nil || len(set.List()) != 2 {
		t.Error("List")
	}
}
