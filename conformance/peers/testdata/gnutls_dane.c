/* Judges chains by TLSA records with GnuTLS's libgnutls-dane, for a second opinion.
 *
 * Standard input holds cases of whitespace-separated words: the number of certificates,
 * each as DER in hex, leaf first; the number of records, each as RDATA in hex. For each
 * case a line comes out: "match", "differs N" with the status bits, or "error N". */
#include <gnutls/dane.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ITEMS = 64, MAX_HEX = 1 << 17 };

static char hex[MAX_HEX + 1];

/* Reads one word of hex; returns its octets, to be freed, and their number. */
static unsigned char *octets(unsigned *n)
{
	unsigned i, v;
	unsigned char *out;

	if (scanf("%131072s", hex) != 1)
		exit(2);
	*n = strlen(hex) / 2;
	out = malloc(*n + 1);
	if (out == NULL)
		exit(2);
	for (i = 0; i < *n; i++) {
		if (sscanf(hex + 2 * i, "%2x", &v) != 1)
			exit(2);
		out[i] = v;
	}
	return out;
}

int main(void)
{
	unsigned certs, records, i, status, n;
	int ret, sizes[MAX_ITEMS + 1];
	gnutls_datum_t chain[MAX_ITEMS];
	char *rdata[MAX_ITEMS + 1];
	dane_state_t state;
	dane_query_t query;

	if (dane_state_init(&state, DANE_F_IGNORE_DNSSEC) < 0)
		return 2;
	while (scanf("%u", &certs) == 1) {
		if (certs > MAX_ITEMS)
			return 2;
		for (i = 0; i < certs; i++)
			chain[i].data = octets(&chain[i].size);
		if (scanf("%u", &records) != 1 || records > MAX_ITEMS)
			return 2;
		for (i = 0; i < records; i++) {
			rdata[i] = (char *)octets(&n);
			sizes[i] = n;
		}
		rdata[records] = NULL;
		sizes[records] = 0;
		query = NULL;
		status = 0;
		ret = dane_raw_tlsa(state, &query, rdata, sizes, 1, 0);
		if (ret >= 0)
			ret = dane_verify_crt_raw(state, chain, certs, GNUTLS_CRT_X509, query, 0,
						  DANE_VFLAG_FAIL_IF_NOT_CHECKED, &status);
		if (ret < 0)
			printf("error %d\n", ret);
		else if (status != 0)
			printf("differs %u\n", status);
		else
			printf("match\n");
		fflush(stdout);
		if (query != NULL)
			dane_query_deinit(query);
		for (i = 0; i < certs; i++)
			free(chain[i].data);
		for (i = 0; i < records; i++)
			free(rdata[i]);
	}
	dane_state_deinit(state);
	return 0;
}
