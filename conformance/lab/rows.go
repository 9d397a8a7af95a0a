package lab

import (
	"slices"
	"strings"
)

// Rows lists the ids of the decision table's rows, sections 2 to 7, that worlds have to
// show. The rows of sections 2 to 4 and R1 to R9 go by the table's own names; others by
// these:
//
//	C2/sts        row C2, column "RS sts" (nothing, sts, skip)
//	level/secure  a row of the table of levels
//	6/dane-ta     a row of section 6
//	7/dane/E3     a cell of section 7; 7/E0 is any requirement without a connection
func Rows() []string {
	rows := strings.Fields(`
		M1 M2 M3 M4 M5 M6 M7 M8 M9 M10
		S1 S2 S3 S4 S5 S6 S7 S8 S9 S10 S11 S12
		A1 A2 A2b A3 A4 A5 A6 A7 A8 A9
		T1 T2 T3
		R1 R2 R3 R4 R5 R6 R7 R8 R9
		level/opportunistic level/dane level/sts level/dane-only level/secure
		6/may 6/encrypt 6/dane-ee 6/dane-ta 6/dane-ta-no-mx 6/half-dane 6/sts 6/sum 6/pkix 6/fetch
		7/E0 7/audit`)
	for c := range 6 {
		for _, column := range []string{"nothing", "sts", "skip"} {
			rows = append(rows, "C"+string(rune('1'+c))+"/"+column)
		}
	}
	for _, r := range []string{"may", "encrypt", "half-dane", "dane", "sts", "pkix", "sum"} {
		for _, e := range []string{"E1", "E2", "E3", "E4"} {
			rows = append(rows, "7/"+r+"/"+e)
		}
	}
	return slices.Clip(rows)
}
