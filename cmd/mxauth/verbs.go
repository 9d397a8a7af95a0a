package main

import "github.com/spf13/cobra"

// verbs lists the constructors of all verbs, one a line, in the order in which help
// shows them. A verb has a file of its own name.
func verbs() []func(*env) *cobra.Command {
	return []func(*env) *cobra.Command{
		newCheck,
		newPlan,
		newSurvey,
		newExplain,
		newDemo,
		newResolver,
		newLint,
		newForecast,
		newReplay,
		newTLSA,
		newSTS,
		newPolicyDiff,
		newTLSRPT,
		newCache,
		newMemory,
		newExceptions,
		newServe,
		newStatus,
		newAsk,
		newConfig,
		newDoctor,
		newCompare,
		newReason,
		newCompletion,
		newVersion,
	}
}
