#!/usr/bin/env bash
# Runs deploy/swarm for real, on a swarm of this machine alone: deploys the stack, replaces every service under load, has one that
# does not start taken back, kills one replica of each, and compares. From anywhere, after `npm ci`:
#
#   tests/swarm/check.sh
#
# The engine must be in no swarm; it is in none afterwards. The ports must be free, that of Redis, too. It takes six minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

files=(docker-compose.yml deploy/swarm/images.yml)
PROJECT=messaging-swarm-check
source tests/compose/lib.sh
readonly ALL_UP_WITHIN_SECONDS=240
export STACK=messaging STACK_FILES='deploy/swarm/stack.yml tests/swarm/check.yml' TAG=check-1 NEXT_TAG=check-2
read -ra stack_files <<<"$STACK_FILES"
images=(user_service_{api,grpc} message_service_{api,grpc} notification_service_{api,grpc} frontend_service_{api,grpc})

[[ $(docker info --format '{{.Swarm.LocalNodeState}}') == inactive ]] ||
  { echo 'this engine is part of a swarm already: the check makes one of its own' >&2; exit 2; }

fail() {
  echo "FAILED: $1" >&2
  docker stack ps --no-trunc --format '{{.Name}} {{.DesiredState}} {{.CurrentState}} {{.Error}}' "$STACK" >&2 || true
  exit 1
}
take_down() {
  local status=$?
  trap - EXIT
  docker stack rm "$STACK" >/dev/null 2>&1 || true
  eventually 60 no_container || echo 'some containers are still there' >&2
  docker swarm leave --force >/dev/null || true
  docker volume rm "${STACK}_redis_data" >/dev/null 2>&1 || true
  for image in "${images[@]}"; do docker rmi "messaging/$image:$TAG" "messaging/$image:$NEXT_TAG" >/dev/null 2>&1 || true; done
  exit "$status"
}
no_container() { [[ -z $(docker ps --quiet --filter "label=com.docker.stack.namespace=$STACK") ]]; }
# Of "3/3" both numbers have to be the same.
has_all_replicas() { ! docker service ls --format '{{.Replicas}}' | grep -vE '^([0-9]+)/\1( |$)'; }

step 'building the images'
have_balancer || fail "the balancer's image"
compose build --quiet || fail 'the build'
for image in "${images[@]}"; do docker tag "messaging/$image:$TAG" "messaging/$image:$NEXT_TAG"; done

step 'making a swarm, its secrets, and the stack'
docker swarm init --advertise-addr 127.0.0.1 --listen-addr 127.0.0.1:2377 >/dev/null
docker node update --label-add messaging.redis=true "$(docker info --format '{{.Swarm.NodeID}}')" >/dev/null
for user in USER_SERVICE MESSAGE_SERVICE NOTIFICATION_SERVICE FRONTEND_SERVICE OPERATOR; do
  export "${user}_REDIS_PASSWORD=$(openssl rand -hex 24)"
done
deploy/swarm/create-secrets.sh >/dev/null
deployed=$(docker stack deploy --resolve-image never "${stack_files[@]/#/--compose-file=}" "$STACK" 2>&1) || fail "the deployment: $deployed"
eventually "$ALL_UP_WITHIN_SECONDS" has_all_replicas || fail 'not every replica is up'
up_after=$SECONDS
docker service ls --format '    {{.Name}} {{.Replicas}}'

step 'replacing, taking back and killing under load'
npm run --silent test:swarm || fail 'the test'

step "passed: every replica was up after ${up_after}s"
