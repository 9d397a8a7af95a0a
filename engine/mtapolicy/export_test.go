package mtapolicy

// MailServices are for tests: a machine that runs tests has a services database.
var MailServices = mailServices
