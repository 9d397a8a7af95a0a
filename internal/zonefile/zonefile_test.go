package zonefile_test

import (
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/internal/zonefile"
)

// TestTXT: an independent reader of zone files gets the text back.
func TestTXT(t *testing.T) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for _, text := range []string{"", "v=STSv1; id=1;", `a"b\c`, string(every), strings.Repeat("x", 1000)} {
		line := "example.org. 300 IN TXT " + zonefile.TXT(text)
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		wire := make([]byte, 4096)
		n, err := dns.PackRR(rr, wire, 0, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		data := wire[n-int(rr.Header().Rdlength) : n]
		if rr.Header().Rdlength == 0 { // the header is not filled in by PackRR
			_, off, _ := dns.UnpackDomainName(wire[:n], 0)
			data = wire[off+10 : n]
		}
		var got strings.Builder
		for len(data) > 0 {
			size := int(data[0])
			got.Write(data[1 : 1+size])
			data = data[1+size:]
		}
		if got.String() != text {
			t.Errorf("%s: got %q, want %q", line, got.String(), text)
		}
	}
}
