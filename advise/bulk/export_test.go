package bulk

// What tests reach into.
var (
	NewJournal = newJournal
	Inert      = inert
)

const (
	MaxAhead     = maxAhead
	MaxProviders = maxProviders
)

// JournalFile is what a Journal needs of its file.
type JournalFile = journalFile
