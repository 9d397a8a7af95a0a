package explain

// Clip is clip.
func Clip(s string) string { return clip(s) }
