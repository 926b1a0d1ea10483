import type { Redis } from 'ioredis';

/** What a Redis has done since it started, and what it holds. */
export interface RedisState {
  /** CPU time of the thread that carries out the commands, in milliseconds. */
  mainThreadMs: number;
  /** Commands, also those that scripts run. */
  commands: number;
  /** Calls of scripts. */
  scripts: number;
  /** How often it found something to read on a connection: what comes in one pipeline counts once. */
  reads: number;
  bytesIn: number;
  bytesOut: number;
  /** The memory that it has allocated. */
  usedBytes: number;
  /** The length of its append-only file. */
  fileBytes: number;
}

/** Asks a Redis for it. Counts itself as well: a command and a few kilobytes. */
export async function readRedisState(redis: Redis): Promise<RedisState> {
  const text = await redis.info('all');
  const read = (field: string, pattern = '([\\d.]+)') => {
    const value = new RegExp(`^${field}:${pattern}`, 'm').exec(text)?.[1];
    return value === undefined ? NaN : Number(value);
  };
  return {
    mainThreadMs: 1_000 * (read('used_cpu_sys_main_thread') + read('used_cpu_user_main_thread')),
    commands: read('total_commands_processed'),
    // Not there before the first.
    scripts: read('cmdstat_evalsha', 'calls=(\\d+)') || 0,
    reads: read('total_reads_processed'),
    bytesIn: read('total_net_input_bytes'),
    bytesOut: read('total_net_output_bytes'),
    usedBytes: read('used_memory'),
    fileBytes: read('aof_current_size'),
  };
}
