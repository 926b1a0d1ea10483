# HAProxy from Debian's packages, for checking deploy/scale and deploy/swarm where the official image can't be fetched:
#   docker build -t haproxy:3.2-alpine - < tests/compose/haproxy.Dockerfile
FROM node:24-slim
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends haproxy busybox \
 && ln -s /bin/busybox /usr/local/bin/wget
USER haproxy
STOPSIGNAL SIGUSR1
CMD ["haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
