package main

import (
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/internal/eachfield"
)

// TestEachFieldHasAFlag: each field of a request can be set on the command line, and the
// lab gives the flags that set it.
func TestEachFieldHasAFlag(t *testing.T) {
	base := engine.Request{NextHop: "base.example", Level: engine.LevelSecure}
	for name, want := range eachfield.Of(base) {
		if strings.HasPrefix(name, "Options.TLSA.") {
			continue // the rules of a program: a function, and an order that goes with it
		}
		// What the program prints is always sorted.
		want.Sorted = true
		if name == "Options.LowerAll" || name == "Sorted" {
			want.Level = engine.LevelDANEOnly
		}
		w := lab.World{Domain: "recipient.example"}
		w.Request.Request = want
		var d deliveryFlags
		flags := pflag.NewFlagSet("check", pflag.ContinueOnError)
		d.add(flags)
		if err := flags.Parse(w.Args()); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := d.request()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !got.Smarthost {
			got.NextHop = flags.Arg(0)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q give %+v, want %+v", name, w.Args(), got, want)
		}
	}
}
