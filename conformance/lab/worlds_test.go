package lab_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/conformance/lab"
)

// notByCheck are the rows that no single check can show, each with the reason.
var notByCheck = map[string]string{
	"S10": "a refresh in the background; TestRefresh shows it",
	"S11": "a refresh in the background; TestRefresh shows it",
}

// Every row of the decision table's sections 2 to 7 is shown by a world, and no world
// claims a row that is not there.
func TestRows(t *testing.T) {
	known := lab.Rows()
	shown := map[string]int{}
	for _, w := range lab.Worlds() {
		for _, r := range w.Rows {
			if !slices.Contains(known, r) {
				t.Errorf("%s claims the row %q, which is not in the list", w.Name, r)
			}
			shown[r]++
		}
	}
	for _, r := range known {
		if shown[r] == 0 && notByCheck[r] == "" {
			t.Errorf("no world shows the row %s", r)
		}
		if shown[r] > 0 && notByCheck[r] != "" {
			t.Errorf("%s is shown, and in the list of rows that cannot be", r)
		}
	}
}

// Worlds have names, words for people and an expectation of their own, and are many.
func TestWorldsAreWellDescribed(t *testing.T) {
	worlds := lab.Worlds()
	if len(worlds) < 250 {
		t.Errorf("%d worlds", len(worlds))
	}
	names := map[string]bool{}
	abouts := map[string]string{}
	for _, w := range worlds {
		if names[w.Name] || strings.ToLower(w.Name) != w.Name || strings.ContainsAny(w.Name, " ._") {
			t.Errorf("%q is no name for a world, or there twice", w.Name)
		}
		names[w.Name] = true
		if w.About == "" || strings.HasSuffix(w.About, ".") {
			t.Errorf("%s: about: %q", w.Name, w.About)
		}
		for _, word := range unplain {
			if strings.Contains(" "+w.About+" ", " "+word+" ") {
				t.Errorf("%s: about: %q has %q", w.Name, w.About, word)
			}
		}
		if strings.HasPrefix(w.About, "the same") {
			t.Errorf("%s: about: %q says nothing alone", w.Name, w.About)
		}
		if other := abouts[w.About]; other != "" {
			t.Errorf("%s and %s are described alike", w.Name, other)
		}
		abouts[w.About] = w.Name
		if w.Want.Outcome == "" || w.Want.Deliver == slices.Contains([]string{"refused", "deferred", "bounced"}, w.Want.Outcome) ||
			(w.Want.Outcome == "authenticated") != (w.Want.Method != "") {
			t.Errorf("%s: it is not clear what it wants: %+v", w.Name, w.Want)
		}
	}
}

// unplain are words that the texts of worlds, which anyone may read, do without.
var unplain = []string{"can not", "nobody", "somebody", "anybody", "beside", "behind", "stand", "stands", "tells", "shows", "in the clear", "in force", "has ended", "would rather"}

// Every world says for which reason it comes out so, and no reason names a world that
// is not there.
func TestReasonsAreComplete(t *testing.T) {
	var names []string
	for _, w := range lab.Worlds() {
		names = append(names, w.Name)
		if w.Want.Reason == "" && noReason[w.Name] == "" {
			t.Errorf("%s has no reason", w.Name)
		}
	}
	for _, n := range lab.ReasonedWorlds() {
		if !slices.Contains(names, n) {
			t.Errorf("a reason for %q, which is no world", n)
		}
	}
}

// noReason are the worlds whose reason is not checked.
var noReason = map[string]string{
	"mx-future": "there is no id yet for a certificate that is not valid yet",
	"ta-future": "there is no id yet for a certificate that is not valid yet",
	// A resolver that gave up can only say that it did.
	"zone-keytrap": "out-of-budget where the proof is made here, mx-lookup-failed by the AD bit",
}
