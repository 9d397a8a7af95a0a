package sts

// MediaTypeOK is the check of the Content-Type header of a fetch.
func MediaTypeOK(s string) bool { return badMediaType([]string{s}) == "" }
