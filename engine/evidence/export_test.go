package evidence

// DigestOf is digestOf.
var DigestOf = digestOf
