#!/bin/sh
# Prints what overlays/production needs that is in no repository: the keys by which the services know each other, and where each
# finds its Redis; with a third folder, the certificates of components/tls. See README.md.
# Usage: sh deploy/kubernetes/make-secrets.sh KEYS REDIS [CERTIFICATES] | kubectl apply -f -
set -eu

fail() {
  echo "make-secrets: $*" >&2
  exit 1
}

if [ $# -lt 2 ] || [ $# -gt 3 ]; then fail 'usage: make-secrets.sh KEYS REDIS [CERTIFICATES]'; fi
keys=$1
redis=$2
certificates=${3:-}
command -v kubectl >/dev/null || fail 'kubectl is not installed'

# Asks no cluster; whoever reads the output decides what becomes of it.
print() {
  echo '---'
  kubectl create "$@" --namespace messaging --dry-run=client --output yaml
}

print configmap service-keys --from-file="$keys/services.json"
for service in user message notification frontend; do
  print secret generic "$service-service-key" --from-file=key.json="$keys/${service}_service.json"
  print secret generic "$service-service-redis" --from-env-file="$redis/${service}_service.env"
  [ -n "$certificates" ] || continue
  own=$certificates/${service}_service
  print secret generic "$service-service-certificates" --from-file="$own/cert.pem" --from-file="$own/key.pem" --from-file="$own/ca.pem"
done
