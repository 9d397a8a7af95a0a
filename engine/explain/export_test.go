package explain

// Clip is clip.
func Clip(s string) string { return clip(s) }

// Words are words.
var WordsOfKinds = words
