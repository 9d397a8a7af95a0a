package maillog

// ReadAtMost is [Read] with another bound than [MaxDomains].
var ReadAtMost = read
