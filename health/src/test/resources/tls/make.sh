#!/bin/sh
# Makes the certificates that the tests of TLS use. Run in this folder; needs keytool of a JDK.
set -eu
rm -f ./*.p12 ca.pem
k() { keytool -storetype PKCS12 -storepass testing "$@"; }
k -genkeypair -keystore ca.p12 -alias ca -keyalg EC -groupname secp256r1 -dname CN=ballast-test-ca -ext bc:c \
  -startdate 2020/01/01 -validity 36500
k -exportcert -rfc -keystore ca.p12 -alias ca > ca.pem
# name, SAN, start, days; RSA, since GnuTLS does not read the elliptic keys that Java writes
signed() {
  k -genkeypair -keystore "$1.p12" -alias server -keyalg RSA -keysize 2048 -dname "CN=$1" \
    -startdate 2020/01/01 -validity 36500
  k -certreq -keystore "$1.p12" -alias server |
    k -gencert -rfc -keystore ca.p12 -alias ca -ext "san=$2" -startdate "$3" -validity "$4" > signed.pem
  cat ca.pem signed.pem | k -importcert -noprompt -keystore "$1.p12" -alias server
  rm signed.pem
}
signed good dns:www.example,dns:localhost,ip:127.0.0.1 2020/01/01 36500
signed expired dns:www.example,ip:127.0.0.1 2020/01/01 30
signed other dns:other.example 2020/01/01 36500
k -genkeypair -keystore self.p12 -alias server -keyalg EC -groupname secp256r1 -dname CN=self \
  -ext san=dns:www.example -startdate 2020/01/01 -validity 36500
