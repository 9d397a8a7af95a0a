package main

func (v *verdict) human(c *console) { c.Linef("%s", v.asked) }
