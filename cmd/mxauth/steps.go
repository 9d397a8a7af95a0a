package main

import (
	"fmt"

	"github.com/mxauth/mxauth/advise/lint"
)

// printSteps prints the steps of a cure, with lines that are to be pasted. One step has no
// number, and says nothing that its lines do not say.
func (e *env) printSteps(steps []lint.Step) {
	for i, s := range steps {
		if len(steps) > 1 || s.Kind == lint.StepDo {
			label := pad("step")
			if len(steps) > 1 {
				label = pad(fmt.Sprintf("step %d", i+1))
			}
			block(e.out, 2, label, s.Text)
		}
		e.paste("serve", "as "+s.URL+":", s.File)
		e.paste("publish", s.Place(), s.Records)
		if s.Kind == lint.StepRemove {
			block(e.out, 2, pad("remove"), "all "+s.Type+" records of "+s.Owner)
		}
		if s.Caution != "" {
			block(e.out, 2, pad("check"), s.Caution)
		}
		if s.Wait > 0 && i+1 < len(steps) {
			block(e.out, 2, pad("wait"), s.WaitText())
		}
	}
}
