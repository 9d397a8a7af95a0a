package main

import (
	"strings"

	"github.com/mxauth/mxauth/rfc6125"
)

// webServers are the web servers that sts make knows lines for.
var webServers = []string{"nginx", "apache", "caddy"}

// webRoot is the folder from which the policy host of a domain is served.
func webRoot(domain rfc6125.Host) string { return "/var/www/mta-sts." + domain.String() }

// webServerLines are the lines by which a web server serves the policy of a domain as
// text/plain, without redirect (RFC 8461 section 3.3). The certificate is where certbot puts
// it; Caddy gets its own.
func webServerLines(server string, domain rfc6125.Host) []string {
	text := map[string]string{
		"nginx": `server {
    listen 443 ssl;
    listen [::]:443 ssl;
    server_name mta-sts.DOMAIN;
    ssl_certificate /etc/letsencrypt/live/mta-sts.DOMAIN/fullchain.pem;
    ssl_certificate_key /etc/letsencrypt/live/mta-sts.DOMAIN/privkey.pem;
    root ROOT;
    location = /.well-known/mta-sts.txt {
        types { }
        default_type text/plain;
    }
}`,
		"apache": `<VirtualHost *:443>
    ServerName mta-sts.DOMAIN
    DocumentRoot ROOT
    SSLEngine on
    SSLCertificateFile /etc/letsencrypt/live/mta-sts.DOMAIN/fullchain.pem
    SSLCertificateKeyFile /etc/letsencrypt/live/mta-sts.DOMAIN/privkey.pem
    AddType text/plain .txt
    <Directory ROOT>
        Require all granted
    </Directory>
</VirtualHost>`,
		"caddy": `mta-sts.DOMAIN {
    root * ROOT
    file_server
}`,
	}[server]
	return strings.Split(strings.NewReplacer("DOMAIN", domain.String(), "ROOT", webRoot(domain)).Replace(text), "\n")
}
