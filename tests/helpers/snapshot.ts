import type { connect } from './clients.js';

type Clients = ReturnType<typeof connect>;
type Database = Parameters<Clients['redis']>[0];

const DATABASES: readonly Database[] = [0, 1, 2];

/** Every key of every database, with its value: tells whether anything was written in between. */
export async function snapshot(clients: Clients) {
  const databases = await Promise.all(
    DATABASES.map(async (database) => {
      const keys = (await clients.redis(database).keys('*')).toSorted();
      return Promise.all(keys.map(async (key) => [database, key, await readValue(clients, database, key)]));
    }),
  );
  return databases.flat();
}

/**
 * A key's DUMP, which shows any change; but of a stream its entries, since relays leave there when they last looked,
 * and of a hash or a set its members, which change their order by themselves.
 */
async function readValue(clients: Clients, database: Database, key: string) {
  const redis = clients.redis(database);
  switch (await redis.type(key)) {
    case 'stream':
      return redis.xrange(key, '-', '+');
    case 'hash':
      return redis.hgetall(key);
    case 'set':
      return (await redis.smembers(key)).toSorted();
    default:
      return (await redis.dumpBuffer(key))?.toString('hex');
  }
}
