#!/bin/sh
# posttls-finger.sh DOMAIN prints what posttls-finger says of the domain as a result for
# mxconform judge, and nothing where it does not say what would become of a message.
said=$(posttls-finger -c -l dane -T 8 -t 8 -L summary,verbose "$1" 2>&1)
result() {
  printf '{"domain":"%s","outcome":"%s","deliver":%s}\n' "$domain" "$1" "$2"
}
domain=$1
case $said in
*'TLSA lookup error'* | *'try again'*) result deferred false ;;
*'Failed to establish session'* | *'service not available'*) result deferred false ;;
*'Destination address lookup failed'*) result bounced false ;;
*'Verified TLS connection established'*) result authenticated true ;;
*'all TLSA records unusable'*) result encrypted true ;;
*'DNSSEC-signed TLSA record'*'Untrusted TLS connection established'*) result refused false ;;
*'TLS connection established'*) result encrypted true ;;
esac
