// Package bulk surveys many domains: by what each can be authenticated, what is wrong with it,
// and who its provider is.
//
//	err := bulk.Run(ctx, bulk.Config{Client: client, Row: row, Refused: refused}, bulk.Read(os.Stdin))
//
// A list of any length takes the same memory: [Run] looks at a window of domains, hands their
// rows over in the order of the list, and a [Tally] counts them. Where the same servers serve
// many domains, [Limits] bounds the connections to them. A [Journal] makes it possible to
// continue a survey that was interrupted.
//
// By default a survey asks DNS and fetches policies; with Config.Probe it speaks with the mail
// hosts, too. It sends no mail.
package bulk
