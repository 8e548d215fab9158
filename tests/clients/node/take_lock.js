#!/usr/bin/env node
// Takes a lock, keeps it, gives it back: Holdfast from Node.
//
//   take_lock.js [ADDRESS [NAME]]
//
// Needs @grpc/grpc-js and @grpc/proto-loader, and reads the .proto files of this repository.

const crypto = require('crypto');
const path = require('path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const protos = path.join(__dirname, '..', '..', '..', 'proto');
const definition = loader.loadSync('holdfast/v1/lock_service.proto', {
  includeDirs: [protos],
  keepCase: true,
  longs: String, // a token can be larger than the integers of JavaScript that people expect
  enums: String,
  defaults: true,
});
const { LockService } = grpc.loadPackageDefinition(definition).holdfast.v1;

const TIMEOUT_MS = 10_000;

// A call as a promise, with a deadline.
function call(locks, method, request) {
  const options = { deadline: Date.now() + TIMEOUT_MS };
  return new Promise((resolve, reject) => {
    locks[method](request, options, (error, response) => (error ? reject(error) : resolve(response)));
  });
}

// Counted from before the request was sent: whatever time the answer took is lost, not won.
// (performance.now() stands still while the machine sleeps: renew after a sleep.)
function believeUntil(sentAt, lease) {
  return sentAt + Number(lease.elapsed_ms) + Number(lease.safe_for_ms);
}

async function main(address = '127.0.0.1:7420', name = 'node-demo') {
  const locks = new LockService(address, grpc.credentials.createInsecure());
  try {
    // A random id, so that the same request may be sent again if no answer comes.
    const request = { name, ttl_ms: 10_000, wait_ms: 5_000, owner: 'node', request_id: crypto.randomBytes(32) };
    let sentAt = performance.now();
    let { lease } = await call(locks, 'Acquire', request);
    let released;
    try {
      console.log(`token ${lease.fencing_token}`); // hand it to what the lock protects

      // ... work; renew when a third of the ttl has passed, and before a step that matters ...
      sentAt = performance.now();
      ({ lease } = await call(locks, 'Renew', { lease_id: lease.lease_id, ttl_ms: 10_000 }));
      const left = (believeUntil(sentAt, lease) - performance.now()) / 1000;
      console.log(`mine for ${left.toFixed(0)} s more`);
    } finally {
      released = await call(locks, 'Release', { lease_id: lease.lease_id });
    }
    console.log(`released: ${released.verdict}`);
  } finally {
    locks.close();
  }
}

main(...process.argv.slice(2)).catch((error) => {
  console.error(`${grpc.status[error.code] || 'failed'}: ${error.details || error.message}`);
  process.exitCode = 1;
});
