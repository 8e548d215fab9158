#!/usr/bin/env node
// Locks by node-redlock, like a service that does not know of Holdfast. For tests/e2e; as
// ../python/redis_py.py with `turns`:
//
//   redlock.js SOCKET SECONDS NAME...
//
// Needs ioredis and redlock.

const { Redis } = require('ioredis');
const { default: Redlock, ResourceLockedError, ExecutionError } = require('redlock');

const WORKERS = 4;
const TTL_MS = 5_000;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const below = (limit) => Math.floor(Math.random() * limit);

async function takeTurns(redlock, end, names) {
  while (process.hrtime.bigint() < end) {
    const name = names[below(names.length)];
    const asked = process.hrtime.bigint();
    let lock;
    try {
      lock = await redlock.acquire([name], TTL_MS);
    } catch (error) {
      if (error instanceof ExecutionError || error instanceof ResourceLockedError) continue; // it is held
      throw error;
    }
    const obtained = process.hrtime.bigint();
    const deadline = obtained + BigInt(lock.expiration - Date.now()) * 1_000_000n;
    await pause(below(3));
    const now = process.hrtime.bigint();
    const ended = now < deadline ? now : deadline;
    if (now < deadline) await lock.release();
    console.log(`${name} ${asked} ${obtained} ${ended}`);
    await pause(below(3));
  }
}

async function main(socket, seconds, ...names) {
  const client = new Redis(socket);
  const redlock = new Redlock([client], { retryCount: 100, retryDelay: 2, retryJitter: 2 });
  redlock.on('error', () => {}); // each failed try is told there, too
  const end = process.hrtime.bigint() + BigInt(seconds) * 1_000_000_000n;
  await Promise.all(Array.from({ length: WORKERS }, () => takeTurns(redlock, end, names)));
  await client.quit();
}

main(...process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
