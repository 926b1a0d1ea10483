#!/usr/bin/env bash
# Runs two of each process behind a balancer (deploy/scale) for real: the replicas share the work, one of each is killed under
# load, and nothing that was acknowledged is lost. From anywhere, after `npm ci`:
#
#   tests/compose/scale.sh
#
# It works in a compose project of its own, which it always takes down again with images and volumes. The ports must be free.
# Where there is no image of the balancer, it exits with 3.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

files=(docker-compose.yml deploy/scale/compose.yml)
PROJECT=messaging-scale-$$
source tests/compose/lib.sh
export PROJECT REPLICAS=${REPLICAS:-2}

rest_doors=(user_service_api:8080 message_service_api:8181 notification_service_api:8282 frontend_service_api:8383)
grpc_doors=(user_service_grpc:9797 message_service_grpc:9696 notification_service_grpc:9898 frontend_service_grpc:3030)

step "building and starting $REPLICAS of each"
have_balancer || { echo "the balancer's image can be neither fetched nor made here" >&2; exit 3; }
compose build --quiet || fail 'the build'
built_at=$SECONDS
started=$(compose up --detach --quiet-pull 2>&1) || fail "up: $started"
wait_until_served
up_after=$((SECONDS - built_at))

step 'sharing the work, and losing one of each'
npm run --silent test:scale || fail 'the test'

step 'stopping'
compose stop >/dev/null 2>&1 || fail 'stop'
exited=$(compose ps --all --format '{{.Service}} {{.ExitCode}}' | sort | uniq --count)
for door in "${rest_doors[@]}" "${grpc_doors[@]}"; do
  service=${door%:*}
  # 137 is the one that was killed.
  for expected in "1 $service 137" "$((REPLICAS - 1)) $service 0"; do
    grep -qE "^ *$expected\$" <<<"$exited" || fail "expected $expected, got: $exited" "$service"
  done
done
for service in redis balancer; do
  grep -qE "^ *1 $service 0\$" <<<"$exited" || fail "$service did not stop well: $exited" "$service"
done

step "passed: built in ${built_at}s, every port served ${up_after}s later"
