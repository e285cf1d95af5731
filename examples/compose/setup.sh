#!/usr/bin/env bash
# Makes what must not be in a repository: certificates and users with random passwords. Keeps what is there.
set -euo pipefail

if [[ ${1:-} == --help ]]; then
  echo "Usage: ./setup.sh [FOLDER]"
  echo "Makes tls/, users.acl, masterauth.conf and .env in FOLDER (that of this script). Needs openssl."
  exit 0
fi
cd "${1:-$(dirname "$0")}"
umask 077
days=825

if [[ ! -f tls/ca.crt ]]; then
  mkdir -p tls
  openssl req -x509 -newkey rsa:3072 -noenc -sha256 -days $((days * 4)) -subj "/CN=edgecache-redis CA" \
    -keyout tls/ca.key -out tls/ca.crt 2>/dev/null
  # One certificate for all nodes: by name and by address, since Redis tells clients addresses.
  names=DNS:localhost,IP:127.0.0.1
  for i in 1 2 3 4 5 6; do names+=,DNS:redis-$i,IP:172.31.240.1$i; done
  for name in redis client; do
    openssl req -newkey rsa:3072 -noenc -sha256 -subj "/CN=edgecache-$name" \
      -keyout "tls/$name.key" -out "tls/$name.csr" 2>/dev/null
    # A node is a client of the others as well.
    printf 'extendedKeyUsage=%s\n' "$([[ $name == redis ]] && echo serverAuth,clientAuth || echo clientAuth)" >"tls/$name.ext"
    if [[ $name == redis ]]; then echo "subjectAltName=$names" >>"tls/$name.ext"; fi
    openssl x509 -req -sha256 -days $days -in "tls/$name.csr" -CA tls/ca.crt -CAkey tls/ca.key -CAcreateserial \
      -extfile "tls/$name.ext" -out "tls/$name.crt" 2>/dev/null
    rm "tls/$name.csr" "tls/$name.ext"
  done
  echo "made tls/"
fi

if [[ ! -f users.acl ]]; then
  hash_of() { printf %s "$1" | sha256sum | cut -d' ' -f1; }
  admin=$(openssl rand -hex 24) replica=$(openssl rand -hex 24) edgecache=$(openssl rand -hex 24)
  # What an agent asks of Redis, and nothing else; its keys and channels all begin with ec:. As in docs/security.md.
  asks='~ec:* &ec:* -@all'
  asks+=' +ping +info +select +time +wait +client|setname +readonly +readwrite +cluster|slots +cluster|info'
  asks+=' +eval +evalsha +get +getrange +set +strlen +pttl +expire +unlink +object|freq +object|idletime +hget'
  asks+=' +hgetall +hmget +hkeys +hlen +hset +hsetnx +hdel +hincrby +zadd +zcard +zincrby +zrandmember'
  asks+=' +zrangebyscore +zrevrange +zrem +zremrangebyrank +zunionstore +xadd +xtrim +xrange +xrevrange'
  asks+=' +spublish +ssubscribe'
  {
    # Nobody can be this user, and Redis replays transactions of append-only files as it (redis/redis#14541): without
    # rights it would lose what scripts have written, at each start.
    echo "user default off ~* &* +@all"
    echo "user admin on #$(hash_of "$admin") ~* &* +@all"
    echo "user replica on #$(hash_of "$replica") +psync +replconf +ping"
    # Whoever may connect at all may ask whether it answers.
    echo "user health on nopass +ping"
    echo "user edgecache on #$(hash_of "$edgecache") $asks"
  } >users.acl
  echo "masterauth $replica" >masterauth.conf
  printf 'REDIS_ADMIN_PASSWORD=%s\nREDIS_EDGECACHE_PASSWORD=%s\n' "$admin" "$edgecache" >.env
  echo "made users.acl, masterauth.conf and .env"
fi

# Containers read them as another user, through mounts of the files themselves; the folder keeps others out.
chmod 700 tls
chmod 644 tls/ca.crt tls/redis.crt tls/redis.key tls/client.crt tls/client.key users.acl masterauth.conf
