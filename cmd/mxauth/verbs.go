package main

import "github.com/spf13/cobra"

// verbs lists the constructors of all verbs, one a line, in the order in which help
// shows them. A verb stands in a file of its own name.
func verbs() []func(*env) *cobra.Command {
	return []func(*env) *cobra.Command{
		newCheck,
		newPlan,
		newDemo,
		newResolver,
		newLint,
		newForecast,
		newReplay,
		newTLSA,
		newSTS,
		newTLSRPT,
		newCache,
		newMemory,
		newExceptions,
		newServe,
		newStatus,
		newAsk,
		newConfig,
		newReason,
		newCompletion,
		newVersion,
	}
}
