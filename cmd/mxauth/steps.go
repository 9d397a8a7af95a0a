package main

import (
	"fmt"
	"time"

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
		where := "in DNS:"
		switch {
		case s.Instead != "":
			where = "in DNS, in place of the " + s.Instead + " record of " + s.Owner + ":"
		case s.Kind == lint.StepServe:
			where = "in DNS, after that, as the only MTA-STS record:"
		case len(s.Records) > 1 || s.Type == "TLSA" || s.Type == "MX":
			where = "in DNS, in place of all " + s.Type + " records of " + s.Owner + ":"
		}
		e.paste("publish", where, s.Records)
		if s.Kind == lint.StepRemove {
			block(e.out, 2, pad("remove"), "all "+s.Type+" records of "+s.Owner)
		}
		if s.Caution != "" {
			block(e.out, 2, pad("check"), s.Caution)
		}
		if s.Wait > 0 && i+1 < len(steps) {
			block(e.out, 2, pad("wait"), waitText(time.Duration(s.Wait)*time.Second))
		}
	}
}

// waitText is how long to wait before the next step.
func waitText(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return counted(int(d/day), "day") + " before the next step"
	}
	return counted(int((d+time.Hour-1)/time.Hour), "hour") + " before the next step"
}
